//! The arithmetic of one receive window. Pure, and free of russh's types.
//!
//! INVARIANT (window): bytes that the peer may still send + bytes queued and not yet taken <= the window's full size.

/// What to do with a window after data has arrived or was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// More than half of it is open: leave it.
    Enough,
    /// Open it but for so many bytes, which are still queued.
    Reopen(usize),
    /// Keep it closed until fewer bytes than this are queued.
    Withhold(usize),
}

/// `open` bytes may still come, `queued` wait for the reader, of `full` at most.
pub(crate) fn decide(open: u32, queued: usize, full: u32) -> Window {
    let low = (full / 2).saturating_sub(open) as usize;
    match queued {
        _ if low == 0 => Window::Enough,
        queued if queued < low => Window::Reopen(queued),
        _ => Window::Withhold(low),
    }
}

/// Whether the peer had window for so many bytes.
pub(crate) fn fits(length: usize, open: u32) -> bool {
    length <= open as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_small_case_keeps_the_window() {
        for full in 0..24_u32 {
            for open in 0..=full {
                for queued in 0..=(full - open) as usize {
                    match decide(open, queued, full) {
                        Window::Enough => assert!(open >= full / 2),
                        Window::Reopen(held) => assert!(held == queued && open as usize + held < (full / 2) as usize),
                        Window::Withhold(below) => assert!(queued >= below && below > 0),
                    }
                }
            }
        }
    }

    #[test]
    fn data_beyond_the_window_does_not_fit() {
        assert!(fits(0, 0) && fits(7, 7) && !fits(8, 7) && !fits(usize::MAX, u32::MAX));
    }

    /// A sender that always fills its window and a reader that takes at random: neither starves, neither overruns.
    #[test]
    fn a_random_reader_always_lets_the_sender_go_on() {
        let mut seed = 0x9e37_79b9_u64;
        let mut random = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % (below as u64 + 1)).unwrap_or(0)
        };
        for full in [2_u32, 3, 1000, 65_536, 2_097_152] {
            let (mut open, mut queued, mut sent, mut wake_below) = (full, 0_usize, 0_usize, 0_usize);
            while sent < 50 * full as usize {
                let packet = random(open as usize).max(usize::from(open > 0));
                open -= u32::try_from(packet).unwrap_or(u32::MAX);
                queued += packet;
                sent += packet;
                let taken = random(queued);
                queued -= taken;
                if packet == 0 && queued >= wake_below {
                    queued = 0; // the reader goes on in the end
                }
                match decide(open, queued, full) {
                    Window::Enough => wake_below = 0,
                    Window::Reopen(held) => {
                        open = full - u32::try_from(held).unwrap_or(u32::MAX);
                        wake_below = 0;
                    }
                    Window::Withhold(below) => wake_below = below,
                }
                assert!(
                    open as usize + queued <= full as usize,
                    "{full}: {open} open and {queued} queued"
                );
            }
        }
    }
}
