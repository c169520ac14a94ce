//! One plain loop, compiled for every instruction set and chosen at run time.
#![allow(unsafe_code)]

/// Calls `pass`, a plain loop over slices, compiled for the best instruction set this processor has.
///
/// The arithmetic is as written: nothing is reordered or fused, so the result has the same bits on every processor.
///
/// Only what is inlined into `pass`, and `pass` itself, is compiled for that instruction set: mark the functions it calls
/// `#[inline(always)]`, and a long closure too (`vectorize(#[inline(always)] move || …)`). Make the closure `move`: for
/// all the compiler knows, a borrowed number may change with every element that is written.
///
/// ```
/// let (x, mut y) = (vec![1.0_f32, 2.0, 3.0], vec![10.0, 20.0, 30.0]);
/// let (from, to, rate) = (&x, &mut y, 0.5);
/// gradus::kernel::vectorize(move || {
///     for (y, x) in to.iter_mut().zip(from) {
///         *y += rate * x;
///     }
/// });
/// assert_eq!(y, [10.5, 21.0, 31.5]);
/// ```
#[inline(always)]
pub fn vectorize<R>(pass: impl FnOnce() -> R) -> R {
    vectorize_at(Level::detected(), pass)
}

/// The same for the instruction set of `level`, which the processor has.
#[inline(always)]
pub(super) fn vectorize_at<R>(level: Level, pass: impl FnOnce() -> R) -> R {
    match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the processor has the features, `Level` found them or the caller did.
        Level::Avx512 => unsafe { with_avx512(pass) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { with_avx2(pass) },
        Level::Baseline => pass(),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn with_avx512<R>(pass: impl FnOnce() -> R) -> R {
    pass()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt")]
fn with_avx2<R>(pass: impl FnOnce() -> R) -> R {
    pass()
}

/// Whether [`vectorize`] uses registers of 512 bits.
#[inline(always)]
pub(super) fn has_wide_registers() -> bool {
    match Level::detected() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => true,
        _ => false,
    }
}

/// Prefetches elements into the first-level cache.
#[inline(always)]
pub(crate) fn prefetch<F>(x: &[F]) {
    prefetch_at(x.as_ptr().cast(), size_of_val(x));
}

/// Prefetches `bytes` from an address on, a cache line of 64 bytes at a time; the address may be any, nothing is read.
#[inline(always)]
pub(super) fn prefetch_at(from: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..bytes).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which every x86-64 processor knows and no address makes fail.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (from, bytes);
}

/// The instruction sets that code is compiled for, each a superset of the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(crate) enum Level {
    /// That of the target: SSE2 on x86-64, NEON on AArch64.
    Baseline,
    /// x86-64-v3: 256-bit vectors and fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64-v4: 512-bit vectors.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Every level this processor has.
    #[cfg(test)]
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let levels = [
            Self::Baseline,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2,
            #[cfg(target_arch = "x86_64")]
            Self::Avx512,
        ];
        levels.into_iter().filter(|level| *level <= Self::detected())
    }

    /// The best level of this processor.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    pub(super) fn detected() -> Self {
        Self::Baseline
    }

    /// The best level of this processor, detected once.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn detected() -> Self {
        use std::sync::atomic::{AtomicU8, Ordering};
        static FOUND: AtomicU8 = AtomicU8::new(0);
        match FOUND.load(Ordering::Relaxed) {
            1 => Self::Baseline,
            2 => Self::Avx2,
            3 => Self::Avx512,
            _ => {
                let level = Self::detect();
                FOUND.store(level as u8 + 1, Ordering::Relaxed);
                level
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[cold]
    fn detect() -> Self {
        macro_rules! has {
            ($($feature:tt)*) => { true $(&& std::arch::is_x86_feature_detected!($feature))* };
        }
        if !has!("avx2" "fma" "bmi1" "bmi2" "lzcnt" "popcnt") {
            Self::Baseline
        } else if has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl") {
            Self::Avx512
        } else {
            Self::Avx2
        }
    }
}
