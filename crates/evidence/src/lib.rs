//! Evidence packs and what they prove: build, verify, explain. Pure: no clock, no I/O beyond the readers and writers it
//! is given, no randomness; what it says of a pack follows from the pack and the reader's trust alone.
//!
//! - [`replay`]: a log's entries in order, what they build and what the rules refuse
//! - [`trust`]: what a reader believes beforehand; [`pack`]: the container; [`verify`]: one line for each claim of a pack
//! - [`grounds`]: what a verification establishes; [`explain`]: a session judged, control by control
//! - [`reading`]: what a session is told from; [`record`], [`timeline`], [`lineage`]: a session told; [`binding`]: what
//!   stands alone; [`render`]: all of these as text
//! - [`disclosure`]: erasable values against their commitments; [`utc`]: times as people read them

pub mod binding;
pub mod disclosure;
pub mod explain;
#[doc(hidden)]
pub mod fuzz;
pub mod grounds;
pub mod lineage;
pub mod pack;
pub mod reading;
pub mod record;
pub mod render;
pub mod replay;
pub mod timeline;
pub mod trust;
pub mod utc;
pub mod verify;
