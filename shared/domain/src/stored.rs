//! The row that a thing was read as.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The row that a thing was read as, which is the store's affair alone: what is written follows from the row as
/// it stands, so that what another release keeps in it stays. Empty for a thing that is new. It is no part of what
/// the thing is, so any two are equal.
#[derive(Clone, Default)]
pub struct Stored(Option<Arc<dyn Any + Send + Sync>>);

impl Stored {
    /// A row.
    pub fn of(row: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(row)))
    }

    /// The row, if there is one and it is of this type.
    #[must_use]
    pub fn row<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}

impl PartialEq for Stored {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Stored {}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stored")
    }
}
