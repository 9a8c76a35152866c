//! The operating system as far as the standard library does not reach: clocks, readiness, batches of
//! datagrams with their time of arrival, signals. All unsafe code of the engine is here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Bytes read of a datagram: one more than the longest that is looked at, so that longer ones are noticed.
const DATAGRAM: usize = plenary_media::rtp::packet::MAX_DATAGRAM + 1;
/// Datagrams read from one socket at once; a peer in order sends one between two reads.
const BATCH: usize = 4;
/// The same of a socket that many peers share, and datagrams handed to such a one at once.
pub const MANY: usize = 64;
/// Batches read from one socket before others get their turn: whoever floods one port delays nobody else.
pub const BATCHES: usize = 16;
/// Readiness events fetched at once.
const EVENTS: usize = 1_024;
/// Nice value of threads in a hurry that may not be real-time ones, less their rank: 30 times the share of others.
const URGENCY: libc::c_int = -13;
/// A datagram that seems to have waited longer has not: the wall clock was set.
const MAX_AGE: Duration = Duration::from_secs(1);
/// Space for one control message with a `timespec`.
const CONTROL: usize = 64;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn clock(id: libc::clockid_t) -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writing; the clocks used here exist on every Linux.
    unsafe { libc::clock_gettime(id, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Time that never goes back.
pub fn monotonic() -> Duration {
    clock(libc::CLOCK_MONOTONIC)
}

/// Wall clock, the one that datagrams are stamped with.
pub fn realtime() -> Duration {
    clock(libc::CLOCK_REALTIME)
}

/// Time that the calling thread has worked, user and system together.
pub fn thread_cpu() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Bytes that nobody can guess.
pub fn entropy<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // SAFETY: the pointer is valid for N bytes. Requests of up to 256 bytes are never answered in part.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), N, 0) };
    assert!(filled == N as isize, "the system gives no random numbers");
    bytes
}

/// Lets the process have as many files as it may; each leg has two sockets.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is valid for reading and writing during both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Lets timers of this thread fire when they are due, not up to 50 µs later.
pub fn exact_timers() {
    // SAFETY: changes a number of the calling thread, no memory is involved.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
}

/// Lets this thread go before all others where the system allows it: a tick that waits for a compiler is
/// heard. Of threads that have called it, one of higher `rank` (1, 2) goes first. The kernel keeps 5 % of each second
/// from such threads, so that even an overloaded one can be ended.
pub fn hurry(rank: libc::c_int) {
    let parameters = libc::sched_param {
        sched_priority: rank,
    };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: changes the calling thread only; `parameters` is valid during the call.
    let refused = unsafe { libc::sched_setscheduler(0, policy, &parameters) } != 0;
    if refused {
        // SAFETY: changes a number of the calling thread, no memory is involved.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, URGENCY - rank) };
    }
}

/// A bell that one thread rings to wake another.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    pub fn new() -> io::Result<Bell> {
        // SAFETY: takes no pointer; the descriptor returned is ours alone.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) })?;
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Bell(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub fn ring(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: the buffer is valid for its 8 bytes. A full counter means that the bell rings already.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub fn silence(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: the buffer is valid for its 8 bytes.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// SIGTERM and SIGINT as a readable descriptor. Threads started afterwards inherit that both are blocked.
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    pub fn new() -> io::Result<Signals> {
        // SAFETY: the set is initialised by sigemptyset before it is read, and outlives the calls.
        let fd = unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::sigaddset(&mut set, libc::SIGINT);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            check(libc::signalfd(
                -1,
                &set,
                libc::SFD_NONBLOCK | libc::SFD_CLOEXEC,
            ))?
        };
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// What to wait for on a descriptor, and then what it is ready for.
#[derive(Clone, Copy, Debug)]
pub struct Interest {
    pub fd: RawFd,
    pub read: bool,
    pub write: bool,
}

/// Waits until one of `interests` is ready or the time is up; leaves in them what is ready.
pub fn wait(interests: &mut [Interest], timeout: Option<Duration>) {
    let mut polls = [libc::pollfd {
        fd: -1,
        events: 0,
        revents: 0,
    }; 8];
    assert!(
        interests.len() <= polls.len(),
        "too many descriptors to wait for"
    );
    for (poll, interest) in polls.iter_mut().zip(interests.iter()) {
        poll.fd = interest.fd;
        poll.events |= if interest.read { libc::POLLIN } else { 0 };
        poll.events |= if interest.write { libc::POLLOUT } else { 0 };
    }
    let time = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs() as libc::time_t,
        tv_nsec: time.subsec_nanos().into(),
    });
    let time = time
        .as_ref()
        .map_or(std::ptr::null(), |time| time as *const libc::timespec);
    // SAFETY: `polls` holds at least as many entries as are announced, `time` is null or points to a
    // timespec that lives until the end of this function; no signal mask is given.
    unsafe {
        libc::ppoll(
            polls.as_mut_ptr(),
            interests.len() as libc::nfds_t,
            time,
            std::ptr::null(),
        )
    };
    for (poll, interest) in polls.iter().zip(interests.iter_mut()) {
        let broken = poll.revents & (libc::POLLHUP | libc::POLLERR | libc::POLLNVAL) != 0;
        interest.read = interest.read && (broken || poll.revents & libc::POLLIN != 0);
        interest.write = interest.write && (broken || poll.revents & libc::POLLOUT != 0);
    }
}

/// Readiness of many sockets, each reported once per new datagram (edge-triggered).
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: takes no pointer; the descriptor returned is ours alone.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` was just opened and is owned by nobody else.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// `token` comes back from [`Epoll::ready`].
    pub fn add(&self, socket: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: token,
        };
        let (epoll, fd) = (self.0.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: both descriptors are open, `event` is valid during the call.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) }).map(drop)
    }

    /// Reports a socket once more if it is ready now.
    pub fn again(&self, socket: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLET) as u32,
            u64: token,
        };
        let (epoll, fd) = (self.0.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: both descriptors are open, `event` is valid during the call.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_MOD, fd, &mut event) }).map(drop)
    }

    pub fn remove(&self, socket: BorrowedFd<'_>) {
        let (epoll, fd) = (self.0.as_raw_fd(), socket.as_raw_fd());
        // SAFETY: both descriptors are open; no event is needed to remove.
        unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Hands each ready socket's token to `each`, without waiting.
    pub fn ready(&self, mut each: impl FnMut(u64)) {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        loop {
            // SAFETY: the buffer holds EVENTS entries; the kernel fills as many as it says.
            let count = unsafe {
                libc::epoll_wait(
                    self.0.as_raw_fd(),
                    events.as_mut_ptr(),
                    EVENTS as libc::c_int,
                    0,
                )
            };
            let count = count.max(0) as usize;
            events[..count].iter().for_each(|event| each(event.u64));
            if count < EVENTS {
                return;
            }
        }
    }
}

/// Asks the kernel to stamp each datagram with its time of arrival.
pub fn stamp_arrivals(socket: BorrowedFd<'_>) -> io::Result<()> {
    set_option(socket, libc::SO_TIMESTAMPNS, 1)
}

/// Bytes that may wait in a socket to be read; the system may give less.
pub fn set_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_option(socket, libc::SO_RCVBUF, bytes)
}

/// Bytes that may wait in a socket to be sent; the system may give more.
pub fn set_send_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_option(socket, libc::SO_SNDBUF, bytes)
}

fn set_option(socket: BorrowedFd<'_>, option: libc::c_int, value: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the options used here are ints; pointer and size are those of one.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })
    .map(drop)
}

/// How long a datagram has waited at `wall`, by the wall clock, which may be set at any time.
pub fn age(wall: Duration, arrival: Option<Duration>) -> Duration {
    let age = arrival.map(|arrival| wall.saturating_sub(arrival));
    age.filter(|age| *age < MAX_AGE).unwrap_or(Duration::ZERO)
}

/// Sends datagrams from one socket, [`MANY`] with a call. One that the system does not take is lost.
pub fn send_many<'a>(
    socket: BorrowedFd<'_>,
    mut datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
) {
    // SAFETY: all zeroes is a valid mmsghdr, iovec and sockaddr_storage: null pointers, no lengths, no family.
    let (mut iovecs, mut headers, mut targets): (
        [libc::iovec; MANY],
        [libc::mmsghdr; MANY],
        [libc::sockaddr_storage; MANY],
    ) = unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
    loop {
        let mut count = 0;
        for (to, bytes) in datagrams.by_ref().take(MANY) {
            iovecs[count].iov_base = bytes.as_ptr().cast_mut().cast();
            iovecs[count].iov_len = bytes.len();
            let header = &mut headers[count].msg_hdr;
            header.msg_namelen = write_address(to, &mut targets[count]);
            header.msg_name = (&raw mut targets[count]).cast();
            header.msg_iov = &raw mut iovecs[count];
            header.msg_iovlen = 1;
            count += 1;
        }
        if count == 0 {
            return;
        }
        let mut from = 0;
        while from < count {
            // SAFETY: the first `count` headers point to bytes that live for 'a, which the kernel only reads, and to
            // entries of this frame.
            let sent = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    headers[from..].as_mut_ptr(),
                    (count - from) as libc::c_uint,
                    libc::MSG_DONTWAIT,
                )
            };
            // An error is told if the first can't be sent; then it goes on with the next.
            from += sent.max(1) as usize;
        }
    }
}

fn write_address(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            // SAFETY: all zeroes is a valid sockaddr_in.
            let mut name: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            name.sin_family = libc::AF_INET as libc::sa_family_t;
            name.sin_port = v4.port().to_be();
            name.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            // SAFETY: a sockaddr_storage has room for every kind of address, and is aligned for it.
            unsafe { (&raw mut *storage).cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>() as libc::socklen_t
        }
        SocketAddr::V6(v6) => {
            // SAFETY: all zeroes is a valid sockaddr_in6.
            let mut name: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            name.sin6_port = v6.port().to_be();
            name.sin6_addr.s6_addr = v6.ip().octets();
            name.sin6_scope_id = v6.scope_id();
            // SAFETY: as above.
            unsafe { (&raw mut *storage).cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>() as libc::socklen_t
        }
    }
}

/// Buffers for reading `N` datagrams at once, used again and again.
pub struct Receiver<const N: usize = BATCH> {
    datagrams: Box<[[u8; DATAGRAM]; N]>,
    sources: [libc::sockaddr_storage; N],
    controls: [Control; N],
}

/// Aligned as the kernel's control messages are.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

impl<const N: usize> Default for Receiver<N> {
    fn default() -> Receiver<N> {
        Receiver {
            datagrams: Box::new([[0; DATAGRAM]; N]),
            // SAFETY: all zeroes is a valid sockaddr_storage, of an unspecified family.
            sources: [unsafe { std::mem::zeroed() }; N],
            controls: [Control([0; CONTROL]); N],
        }
    }
}

impl<const N: usize> Receiver<N> {
    /// Hands the datagrams that wait in a socket to `each`: bytes, source, arrival by the wall clock. `false` if
    /// there may be more.
    pub fn drain(
        &mut self,
        socket: BorrowedFd<'_>,
        mut each: impl FnMut(&[u8], SocketAddr, Option<Duration>),
    ) -> bool {
        (0..BATCHES).any(|_| self.receive(socket, &mut each) < N)
    }

    fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        each: &mut impl FnMut(&[u8], SocketAddr, Option<Duration>),
    ) -> usize {
        // SAFETY: all zeroes is a valid mmsghdr and iovec: null pointers and no lengths.
        let (mut iovecs, mut headers): ([libc::iovec; N], [libc::mmsghdr; N]) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        for i in 0..N {
            iovecs[i].iov_base = self.datagrams[i].as_mut_ptr().cast();
            iovecs[i].iov_len = DATAGRAM;
            let header = &mut headers[i].msg_hdr;
            header.msg_iov = &mut iovecs[i];
            header.msg_iovlen = 1;
            header.msg_name = (&raw mut self.sources[i]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_control = self.controls[i].0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL as _;
        }
        // SAFETY: every header points to buffers of this object or frame with their true lengths, and all
        // of them outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                N as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = count.max(0) as usize;
        for (i, header) in headers[..count].iter().enumerate() {
            let len = (header.msg_len as usize).min(DATAGRAM);
            if let Some(source) = address(&self.sources[i]) {
                each(&self.datagrams[i][..len], source, arrival(&header.msg_hdr));
            }
        }
        count
    }
}

/// The time that the kernel put beside a datagram.
fn arrival(header: &libc::msghdr) -> Option<Duration> {
    // SAFETY: the header was filled by recvmmsg, so its control buffer holds well-formed messages of the
    // length it says; the CMSG functions stay within it. A timespec may be unaligned there.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(header);
        if message.is_null()
            || (*message).cmsg_level != libc::SOL_SOCKET
            || (*message).cmsg_type != libc::SCM_TIMESTAMPNS
        {
            return None;
        }
        let time = libc::CMSG_DATA(message)
            .cast::<libc::timespec>()
            .read_unaligned();
        Some(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
    }
}

fn address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a sockaddr_in, and a sockaddr_storage is aligned for all.
            let v4 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::from((ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above, of a sockaddr_in6.
            let v6 = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            Some(SocketAddr::from((
                Ipv6Addr::from(v6.sin6_addr.s6_addr),
                u16::from_be(v6.sin6_port),
            )))
        }
        _ => None,
    }
}
