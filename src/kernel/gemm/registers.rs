//! A vector register and the few operations a matrix product needs of it.

use crate::scalar::Scalar;

/// A register of `LANES` elements. Every method is inlined into the function that names the instruction set.
///
/// # Safety
/// The processor has the instruction set of the type, and pointers are good for as many elements as are touched.
pub(super) trait Register: Copy {
    type Elem: Scalar;
    const LANES: usize;
    /// Side of the square that [`transpose`](Self::transpose) transposes.
    const SQUARE: usize;
    unsafe fn splat(x: Self::Elem) -> Self;
    unsafe fn load(from: *const Self::Elem) -> Self;
    unsafe fn store(self, to: *mut Self::Elem);
    /// The first `n` elements, `0 < n < LANES`; the others are zero.
    unsafe fn load_partial(from: *const Self::Elem, n: usize) -> Self;
    /// Stores the first `n` elements, `0 < n < LANES`.
    unsafe fn store_partial(self, to: *mut Self::Elem, n: usize);
    /// `self + a b`, rounded once where the processor can.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `to[j, i] = from[i, j]` for a square, with the leading dimensions of both.
    unsafe fn transpose(from: *const Self::Elem, ld_from: isize, to: *mut Self::Elem, ld_to: usize);
}

/// The fallback: four elements side by side, which the compiler turns into what the target promises.
#[derive(Clone, Copy)]
pub(super) struct Portable<F>([F; 4]);

impl<F: Scalar> Register for Portable<F> {
    type Elem = F;
    const LANES: usize = 4;
    const SQUARE: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: F) -> Self {
        Self([x; 4])
    }
    #[inline(always)]
    unsafe fn load(from: *const F) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[F; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut F) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[F; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_partial(from: *const F, n: usize) -> Self {
        // SAFETY: the caller's promise.
        Self(std::array::from_fn(|i| if i < n { unsafe { *from.add(i) } } else { F::zero() }))
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut F, n: usize) {
        for i in 0..n.min(4) {
            // SAFETY: the caller's promise.
            unsafe { *to.add(i) = self.0[i] };
        }
    }
    // Where the target has no fused instruction, `mul_add` would be a function call.
    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..4 {
            self.0[i] = if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                a.0[i].mul_add(b.0[i], self.0[i])
            } else {
                self.0[i] + a.0[i] * b.0[i]
            };
        }
        self
    }
    #[inline(always)]
    unsafe fn transpose(from: *const F, ld_from: isize, to: *mut F, ld_to: usize) {
        for i in 0..4 {
            for j in 0..4 {
                // SAFETY: the caller's promise.
                unsafe { *to.add(j * ld_to + i) = *from.offset(i as isize * ld_from + j as isize) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Register;

    macro_rules! register {
        ($vector:ty = [$f:ty; $lanes:literal], $splat:ident $load:ident $store:ident $fma:ident
         $load_partial:ident $store_partial:ident $transpose:ident $square:literal) => {
            // SAFETY of every body: the caller's promise, as the trait asks for it.
            impl Register for $vector {
                type Elem = $f;
                const LANES: usize = $lanes;
                const SQUARE: usize = $square;
                #[inline(always)]
                unsafe fn splat(x: $f) -> Self {
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn load(from: *const $f) -> Self {
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $f) {
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn load_partial(from: *const $f, n: usize) -> Self {
                    unsafe { $load_partial(from, n) }
                }
                #[inline(always)]
                unsafe fn store_partial(self, to: *mut $f, n: usize) {
                    unsafe { $store_partial(self, to, n) }
                }
                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    unsafe { $fma(a, b, self) }
                }
                #[inline(always)]
                unsafe fn transpose(from: *const $f, ld_from: isize, to: *mut $f, ld_to: usize) {
                    unsafe { $transpose(from, ld_from, to, ld_to) }
                }
            }
        };
    }

    register! {
        __m256 = [f32; 8], _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_fmadd_ps
        load_partial_256_f32 store_partial_256_f32 transpose_f32 8
    }
    register! {
        __m256d = [f64; 4], _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_fmadd_pd
        load_partial_256_f64 store_partial_256_f64 transpose_f64 4
    }
    register! {
        __m512 = [f32; 16], _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_fmadd_ps
        load_partial_512_f32 store_partial_512_f32 transpose_f32 8
    }
    register! {
        __m512d = [f64; 8], _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_fmadd_pd
        load_partial_512_f64 store_partial_512_f64 transpose_f64 4
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_partial_256_f32(from: *const f32, n: usize) -> __m256 {
        let below = _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
        // SAFETY: the caller's promise.
        unsafe { _mm256_maskload_ps(from, below) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load_partial_256_f64(from: *const f64, n: usize) -> __m256d {
        let below = _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3));
        // SAFETY: the caller's promise.
        unsafe { _mm256_maskload_pd(from, below) }
    }

    // By halves, since masked stores of AVX2 are slow on some processors.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store_partial_256_f32(x: __m256, to: *mut f32, n: usize) {
        let (mut rest, mut to) = (_mm256_castps256_ps128(x), to);
        // SAFETY: the caller's promise; 4, 2 and 1 add up to what is stored.
        unsafe {
            if n & 4 != 0 {
                _mm_storeu_ps(to, rest);
                (rest, to) = (_mm256_extractf128_ps::<1>(x), to.add(4));
            }
            if n & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(rest));
                (rest, to) = (_mm_movehl_ps(rest, rest), to.add(2));
            }
            if n & 1 != 0 {
                _mm_store_ss(to, rest);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn store_partial_256_f64(x: __m256d, to: *mut f64, n: usize) {
        let (mut rest, mut to) = (_mm256_castpd256_pd128(x), to);
        // SAFETY: as above.
        unsafe {
            if n & 2 != 0 {
                _mm_storeu_pd(to, rest);
                (rest, to) = (_mm256_extractf128_pd::<1>(x), to.add(2));
            }
            if n & 1 != 0 {
                _mm_store_sd(to, rest);
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_partial_512_f32(from: *const f32, n: usize) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps((1 << n) - 1, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn load_partial_512_f64(from: *const f64, n: usize) -> __m512d {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_pd((1 << n) - 1, from) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store_partial_512_f32(x: __m512, to: *mut f32, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_mask_storeu_ps(to, (1 << n) - 1, x) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn store_partial_512_f64(x: __m512d, to: *mut f64, n: usize) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_mask_storeu_pd(to, (1 << n) - 1, x) }
    }

    /// 8 × 8: rows are read in halves, so that one shuffle step falls away.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn transpose_f32(from: *const f32, ld_from: isize, to: *mut f32, ld_to: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let halves = |i: isize, j: usize| {
                let low = _mm_loadu_ps(from.offset(i * ld_from).add(j));
                let high = _mm_loadu_ps(from.offset((i + 4) * ld_from).add(j));
                _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(low), high)
            };
            for j in [0, 4] {
                let (a, b, c, d) = (halves(0, j), halves(1, j), halves(2, j), halves(3, j));
                let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                let (ab2, cd2) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                _mm256_storeu_ps(to.add(j * ld_to), _mm256_shuffle_ps::<0x44>(ab, cd));
                _mm256_storeu_ps(to.add((j + 1) * ld_to), _mm256_shuffle_ps::<0xee>(ab, cd));
                _mm256_storeu_ps(to.add((j + 2) * ld_to), _mm256_shuffle_ps::<0x44>(ab2, cd2));
                _mm256_storeu_ps(to.add((j + 3) * ld_to), _mm256_shuffle_ps::<0xee>(ab2, cd2));
            }
        }
    }

    /// 4 × 4, read in halves as above.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn transpose_f64(from: *const f64, ld_from: isize, to: *mut f64, ld_to: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let halves = |i: isize, j: usize| {
                let low = _mm_loadu_pd(from.offset(i * ld_from).add(j));
                let high = _mm_loadu_pd(from.offset((i + 2) * ld_from).add(j));
                _mm256_insertf128_pd::<1>(_mm256_castpd128_pd256(low), high)
            };
            for j in [0, 2] {
                let (a, b) = (halves(0, j), halves(1, j));
                _mm256_storeu_pd(to.add(j * ld_to), _mm256_unpacklo_pd(a, b));
                _mm256_storeu_pd(to.add((j + 1) * ld_to), _mm256_unpackhi_pd(a, b));
            }
        }
    }
}
