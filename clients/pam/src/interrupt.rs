//! Ctrl-C while a person waits at the reader: it ends the waiting, so that the next module is asked, as with other readers.
//!
//! Invariant: what this thread blocked of signals before is blocked again when this goes, and nothing else.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Listens to SIGINT in the place of the program.
pub(crate) struct Interrupt {
    signals: SignalFd,
    before: SigSet,
}

impl Interrupt {
    /// Begins to, if the system lets us; else Ctrl-C does what the program made of it.
    pub(crate) fn listen() -> Option<Self> {
        let wanted = interrupt_only();
        let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).ok()?;
        let before = wanted.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok()?;
        Some(Self { signals, before })
    }

    /// Steps aside while the program asks the person something: he ends that as the program lets him.
    pub(crate) fn aside(&self) -> Aside<'_> {
        let _ = self.before.thread_set_mask();
        Aside(PhantomData)
    }

    /// Takes the signal, if it came.
    pub(crate) fn came(&self) -> bool {
        matches!(self.signals.read_signal(), Ok(Some(_)))
    }
}

/// While it is there, Ctrl-C is the program's again.
pub(crate) struct Aside<'a>(PhantomData<&'a Interrupt>);

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // What was blocked once can be blocked again.
        let _ = interrupt_only().thread_block();
    }
}

fn interrupt_only() -> SigSet {
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGINT);
    wanted
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // One that came last was meant for the waiting too.
        self.came();
        let _ = self.before.thread_set_mask();
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::raise;

    use super::*;

    #[test]
    fn a_signal_is_taken_and_the_program_never_sees_it() {
        let before = SigSet::thread_get_mask().unwrap();
        let interrupt = Interrupt::listen().unwrap();
        assert!(!interrupt.came());
        // It would end this test.
        raise(Signal::SIGINT).unwrap();
        assert!(interrupt.came());
        let blocked = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGINT);
        assert!(blocked());
        let aside = interrupt.aside();
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        drop(aside);
        assert!(blocked());
        raise(Signal::SIGINT).unwrap();
        drop(interrupt);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
