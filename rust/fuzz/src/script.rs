//! What a target does, read from the fuzzer's bytes from front to back: the end of a script is the end of a run, and a
//! byte more or less moves the rest along, so that what libFuzzer mutates and joins stays a script. Seeds can be
//! written by hand for the same reason; derived `Arbitrary` takes its lengths from the back.

/// The rest of a script. What lacks at its end is zero.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    /// The next step, as long as there are bytes and not more than `most` were done.
    pub fn steps(&mut self, most: usize, mut each: impl FnMut(&mut Script<'a>)) {
        for _ in 0..most {
            if self.0.is_empty() {
                break;
            }
            each(self);
        }
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn double(&mut self) -> u32 {
        u32::from(self.word()) << 16 | u32::from(self.word())
    }

    /// One of some; there must be one.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    /// Bytes behind their length, of one byte; 255 means that two more bytes tell it.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = match self.byte() {
            255 => usize::from(self.word()),
            len => usize::from(len),
        };
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Some bytes with a few of them replaced, or cut off.
    pub fn bend(&mut self, bytes: &[u8]) -> Vec<u8> {
        let at = usize::from(self.word()) % (bytes.len() + 1);
        let gone = usize::from(self.byte() % 16);
        let mut bent = bytes.to_vec();
        let end = (at + gone).min(bent.len());
        bent.splice(at..end, self.bytes().iter().copied());
        bent
    }
}
