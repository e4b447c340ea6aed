//! The stored row of an object.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// The row as read from the store, opaque to the domain: writes start from it, so that attributes of other
/// releases are kept. Empty for a new object. It is not part of the object's value, so any two are equal.
#[derive(Clone, Default)]
pub struct Stored(Option<Arc<dyn Any + Send + Sync>>);

impl Stored {
    /// Wraps a row.
    pub fn of(row: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(row)))
    }

    /// The row, if there is one of this type.
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
