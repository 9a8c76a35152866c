//! Python module `plenary.media._media`.
use pyo3::prelude::*;

#[pymodule]
fn _media(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
