//! Comfort noise (RFC 3389): what a sender that keeps silent says of the noise it hears, and noise that sounds like it.
//!
//! The description is a level and the reflection coefficients of an all-pole model. White noise goes through the
//! lattice filter with these coefficients, which is stable whatever they are. The filter amplifies by
//! 1 / (1 - k^2) for each coefficient k, so that much less goes in.

use crate::codec::Malformed;

/// Reflection coefficients that are used. RFC 3389 leaves their number open; above ten nobody hears a difference.
pub const MAX_ORDER: usize = 16;

/// A description of noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComfortNoise {
    /// Decibels below the loudest square wave there is: 0..=127.
    pub level_dbov: u8,
    /// Those past `order` are 0.
    reflection: [f32; MAX_ORDER],
    order: usize,
}

impl ComfortNoise {
    /// Any payload of at least a byte; what is longer than [`MAX_ORDER`] allows is left out.
    ///
    /// # Errors
    /// If the payload is empty.
    pub fn parse(payload: &[u8]) -> Result<ComfortNoise, Malformed> {
        let (level, coefficients) = payload.split_first().ok_or(Malformed("empty payload"))?;
        let mut noise = ComfortNoise::white(level & 0x7f);
        for (coefficient, coded) in noise.reflection.iter_mut().zip(coefficients) {
            // Section 3.2. 255 is reserved, and would be more than 1.
            let steps = i16::from(*coded.min(&254)) - 127;
            *coefficient = f32::from(steps) * 258.0 / 32_768.0;
            noise.order += 1;
        }
        Ok(noise)
    }

    /// Noise without a colour.
    #[must_use]
    pub fn white(level_dbov: u8) -> ComfortNoise {
        ComfortNoise {
            level_dbov: level_dbov.min(127),
            reflection: [0.0; MAX_ORDER],
            order: 0,
        }
    }

    /// Each between -1 and 1.
    #[must_use]
    pub fn reflection(&self) -> &[f32] {
        &self.reflection[..self.order]
    }

    /// Root mean square of the samples.
    fn amplitude(&self) -> f32 {
        32_768.0 * 10_f32.powf(-f32::from(self.level_dbov) / 20.0)
    }
}

/// Makes noise as described, at whatever rate the description was made for. The same seed makes the same noise.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u32,
    /// Root mean square of what goes into the filter.
    gain: f32,
    /// Of the filter; the last one only receives.
    lattice: [f32; MAX_ORDER + 1],
}

impl Generator {
    #[must_use]
    pub fn new(seed: u32) -> Generator {
        Generator {
            seed,
            gain: 0.0,
            lattice: [0.0; MAX_ORDER + 1],
        }
    }

    /// Fills `out` with noise as `noise` says. From what it was until now, nothing at first, the level changes over the
    /// whole of `out`.
    pub fn fill(&mut self, noise: &ComfortNoise, out: &mut [i16]) {
        let reflection = noise.reflection();
        let amplified: f32 = reflection.iter().map(|k| 1.0 - k * k).product();
        let gain = noise.amplitude() * amplified.sqrt();
        let step = (gain - self.gain) / out.len().max(1) as f32;
        for sample in out.iter_mut() {
            self.gain += step;
            let mut forward = self.gain * self.white();
            for (stage, k) in reflection.iter().enumerate().rev() {
                forward -= k * self.lattice[stage];
                self.lattice[stage + 1] = self.lattice[stage] + k * forward;
            }
            self.lattice[0] = forward;
            *sample = forward as i16;
        }
        self.gain = gain;
    }

    /// A number with mean 0 and variance 1, nearly normal: the sum of four uniform ones.
    fn white(&mut self) -> f32 {
        let sum: f32 = (0..4)
            .map(|_| {
                // Numerical Recipes' congruence; its high bits are the good ones.
                self.seed = self
                    .seed
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                (self.seed >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .sum();
        sum * 3_f32.sqrt()
    }
}
