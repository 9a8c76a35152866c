//! Python module `plenary.media._media`: the media engine, to be run in a process of its own.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use plenary_driver::{Failure, Options};
use plenary_media::leg::InactivityLimits;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

fn address(name: &str, text: &str) -> PyResult<IpAddr> {
    text.parse()
        .map_err(|_| PyValueError::new_err(format!("{name}: {text:?} is no IP address")))
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name}: {value} is no duration in seconds")))
}

/// Runs the engine until it is told to end; see the stub beside this module.
#[pyfunction]
#[pyo3(signature = (*, socket, rtp_address, public_address, rtp_port_first, rtp_port_last, webrtc_port,
    threads, orphan_timeout_s, inactivity_first_s, inactivity_later_s))]
#[allow(clippy::too_many_arguments)]
fn run(
    py: Python<'_>,
    socket: PathBuf,
    rtp_address: &str,
    public_address: &str,
    rtp_port_first: u16,
    rtp_port_last: u16,
    webrtc_port: u16,
    threads: usize,
    orphan_timeout_s: f64,
    inactivity_first_s: f64,
    inactivity_later_s: f64,
) -> PyResult<()> {
    let options = Options {
        socket,
        rtp_address: address("rtp_address", rtp_address)?,
        public_address: address("public_address", public_address)?,
        rtp_ports: (rtp_port_first, rtp_port_last),
        webrtc_port: (webrtc_port != 0).then_some(webrtc_port),
        threads,
        orphan_timeout: seconds("orphan_timeout_s", orphan_timeout_s)?,
        inactivity: InactivityLimits {
            first: seconds("inactivity_first_s", inactivity_first_s)?,
            later: seconds("inactivity_later_s", inactivity_later_s)?,
        },
    };
    py.detach(|| plenary_driver::run(&options))
        .map_err(|failure| match failure {
            Failure::Options(sentence) => PyValueError::new_err(sentence),
            Failure::System(sentence) => PyOSError::new_err(sentence),
        })
}

#[pymodule]
fn _media(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(run, module)?)
}
