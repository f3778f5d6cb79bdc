//! The database: append-only entries, the state that they build, and the commit that binds a step to its basis.
//!
//! What it is not: it judges nothing (that is `model::judge`), signs nothing and publishes nothing (`publisher`).
//!
//! Tables come in three kinds, told apart by prefix. `log_` is append-only, and triggers refuse anything else. `view_`
//! is a projection, written by one function ([`project`](self::project)) and rebuilt from `log_` at any time. `side_`
//! is what no log holds; [`schema`](self::schema) says of each what is lost with it. SQL is written nowhere else.
//!
//! INVARIANT (one writer): one task owns the one connection that writes; a lock on the data directory keeps a second
//! server out. INVARIANT (synced, then said): nothing is acknowledged before the commit that holds it has been synced.

mod blob;
mod cache;
mod change;
mod commit;
mod cosigned;
mod envelope;
#[cfg(feature = "faults")]
pub mod faults;
#[cfg(not(feature = "faults"))]
mod faults;
mod follow;
mod head;
mod image;
mod lock;
mod open;
mod place;
mod project;
mod read;
mod rebuild;
mod schema;
mod sql;
mod vault;
mod writer;

pub use blob::StoredBlob;
pub use change::Change;
pub use commit::{CommitError, Committed, Receipt, Why};
pub use envelope::{EnvelopeError, RECIPIENTS_MAX, fresh_identity, open_with, seal_to};
pub use head::{HeadError, SignedHead};
pub use open::{Clock, MasterKey, OpenError, Store, StoreConfig, StoreId};
pub use read::{Filter, GatherError};
pub use rebuild::Rebuilt;
pub use sql::DatabaseError;
pub use vault::{Vault, VaultError};
