//! Which kernels run: the best that the processor has, found once, unless one is forced.

use std::sync::OnceLock;

/// Instructions that the kernels of a search are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// None in particular.
    Scalar,
    /// x86-64 with AVX2.
    Avx2,
    /// x86-64 with AVX-512 VL and VPOPCNTDQ.
    Avx512,
    /// AArch64.
    Neon,
}

/// Why a kernel cannot be forced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotForced {
    /// The processor lacks the instructions.
    #[error("this processor has no instructions for the kernel {0:?}")]
    NotHere(Kernel),
    /// Another was chosen already.
    #[error("the kernel {0:?} is in use already: force one before anything is searched")]
    InUse(Kernel),
}

static CHOSEN: OnceLock<Kernel> = OnceLock::new();

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Scalar, Self::Avx2, Self::Avx512, Self::Neon];

    /// Whether this processor has the instructions.
    #[must_use]
    pub fn is_here(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                    && std::arch::is_x86_feature_detected!("avx512vpopcntdq")
                    && Self::Avx2.is_here()
            }
            // Every AArch64 has it.
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            _ => false,
        }
    }

    /// The one in use.
    #[must_use]
    pub fn chosen() -> Self {
        *CHOSEN.get_or_init(|| {
            let best = [Self::Avx512, Self::Avx2, Self::Neon].into_iter().find(|kernel| kernel.is_here());
            best.unwrap_or(Self::Scalar)
        })
    }

    /// Uses this one from now on.
    ///
    /// # Errors
    /// [`NotForced`].
    pub fn force(self) -> Result<(), NotForced> {
        if !self.is_here() {
            return Err(NotForced::NotHere(self));
        }
        match *CHOSEN.get_or_init(|| self) {
            chosen if chosen == self => Ok(()),
            chosen => Err(NotForced::InUse(chosen)),
        }
    }
}
