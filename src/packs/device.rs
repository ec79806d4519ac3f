//! Selects the device that computes: a GPU if the program was built for one and one is present, or
//! else the CPU.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::error::PackError;
use crate::panic_guard::catch_quietly;

/// The device that the user chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The GPU if present, or else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU. If none is present, the CPU and a note that says why.
    Gpu,
}

impl DeviceChoice {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Gpu];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == text);
        found.ok_or_else(|| "choose auto, cpu or gpu".to_owned())
    }
}

/// Returns the reason why this build cannot use a GPU, or `None` if it can.
pub fn no_gpu_support() -> Option<&'static str> {
    (!cfg!(any(feature = "cuda", feature = "metal"))).then_some(
        "this program was built without GPU support; build it with --features cuda (NVIDIA) or \
         --features metal (Apple)",
    )
}

/// Opens the first GPU.
///
/// # Errors
/// Returns the reason why no GPU is available, as a clause.
fn gpu() -> Result<Device, String> {
    if let Some(reason) = no_gpu_support() {
        return Err(reason.to_owned());
    }
    let open = || {
        if cfg!(feature = "metal") { Device::new_metal(0) } else { Device::new_cuda(0) }
    };
    // Without a driver, the bindings panic instead of returning an error.
    match catch_quietly(open) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(e)) => {
            // Only the first line is the message; a backtrace may follow.
            let text = e.to_string();
            let message = text.lines().next().unwrap_or_default();
            Err(format!("no GPU responds ({message}); check its driver"))
        }
        Err(_) => Err("no GPU driver was found; install the driver of your GPU".to_owned()),
    }
}

/// A loaded value, its device, and a note for the user about the device.
pub(super) struct Loaded<T> {
    pub(crate) value: T,
    pub(crate) device: Device,
    pub(crate) note: Option<String>,
    pub(crate) was_too_large: bool,
}

/// Calls `load` with the chosen device. If that is a GPU whose memory is too small, calls `load`
/// again with the CPU.
///
/// # Errors
/// Returns the error of `load`.
pub(super) fn load_on<T>(
    choice: DeviceChoice,
    load: impl FnMut(&Device) -> Result<T, PackError>,
) -> Result<Loaded<T>, PackError> {
    let (device, note) = match choice {
        DeviceChoice::Cpu => (Device::Cpu, None),
        DeviceChoice::Auto => (gpu().unwrap_or(Device::Cpu), None),
        DeviceChoice::Gpu => match gpu() {
            Ok(device) => (device, None),
            Err(reason) => (Device::Cpu, Some(format!("Running on the CPU: {reason}."))),
        },
    };
    load_or_fall_back(device, note, load)
}

fn load_or_fall_back<T>(
    device: Device,
    note: Option<String>,
    mut load: impl FnMut(&Device) -> Result<T, PackError>,
) -> Result<Loaded<T>, PackError> {
    match load(&device) {
        Ok(value) => Ok(Loaded { value, device, note, was_too_large: false }),
        Err(e) if !device.is_cpu() && is_out_of_memory(&e) => {
            let value = load(&Device::Cpu)?;
            let note = "Running on the CPU: the GPU's memory is too small for this pack.";
            let note = Some(note.to_owned());
            Ok(Loaded { value, device: Device::Cpu, note, was_too_large: true })
        }
        Err(e) => Err(e),
    }
}

/// Returns whether an error or one of its sources reports that GPU memory is exhausted. Compares
/// the messages, because the drivers have no common error type for this.
pub(crate) fn is_out_of_memory(error: &(dyn Error + 'static)) -> bool {
    // CUDA: CUDA_ERROR_OUT_OF_MEMORY or "out of memory". cuBLAS: ALLOC_FAILED. Metal: a buffer
    // could not be created.
    let known = ["out of memory", "out_of_memory", "alloc_failed", "create metal resource"];
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().to_lowercase();
        if known.iter().any(|message| text.contains(message)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Returns the description of a device, such as `CPU, 4 threads`.
pub(crate) fn device_name(device: &Device) -> String {
    match device {
        Device::Cpu => {
            let threads = rayon::current_num_threads();
            format!("CPU, {threads} thread{}", if threads == 1 { "" } else { "s" })
        }
        Device::Cuda(_) => "GPU (CUDA)".to_owned(),
        Device::Metal(_) => "GPU (Metal)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::LmError;

    fn model_error(message: &str) -> PackError {
        let source = LmError::Tensor(candle_core::Error::Cuda(message.into()));
        PackError::Model { role: "base", source }
    }

    /// Without the `cuda` feature, `CudaDevice` is a unit struct that can be created here.
    #[cfg(not(feature = "cuda"))]
    #[test]
    fn falls_back_to_the_cpu_with_a_note_when_gpu_memory_is_too_small() {
        let gpu = || Device::Cuda(candle_core::CudaDevice);
        let mut devices = Vec::new();
        let loaded = load_or_fall_back(gpu(), None, |device| {
            devices.push(device_name(device));
            if device.is_cpu() { Ok(7) } else { Err(model_error("CUDA_ERROR_OUT_OF_MEMORY")) }
        });
        let Ok(Loaded { value: 7, device: Device::Cpu, note: Some(note), was_too_large: true }) =
            loaded
        else {
            panic!()
        };
        assert!(note.contains("too small"), "{note}");
        assert_eq!(devices.len(), 2);
        // Other errors are returned at once.
        let mut tries = 0;
        let failed = load_or_fall_back(gpu(), None, |_| {
            tries += 1;
            Err::<(), _>(model_error("a damaged file"))
        });
        assert!(failed.is_err() && tries == 1);
    }

    #[test]
    fn recognises_the_out_of_memory_messages_of_the_drivers() {
        let messages = ["CUDA_ERROR_OUT_OF_MEMORY", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"];
        assert!(messages.iter().all(|message| is_out_of_memory(&model_error(message))));
        assert!(!is_out_of_memory(&model_error("illegal address")));
    }

    #[test]
    fn a_build_without_gpu_support_adds_a_note_when_a_gpu_is_chosen() {
        let load = |choice| load_on(choice, |device| Ok(device.is_cpu()));
        let auto = load(DeviceChoice::Auto).ok().filter(|_| no_gpu_support().is_some());
        if let Some(auto) = auto {
            assert!(auto.value && auto.note.is_none());
            let note = load(DeviceChoice::Gpu).ok().and_then(|loaded| loaded.note);
            assert!(note.is_some_and(|note| note.contains("--features cuda")));
        }
        let cpu = load(DeviceChoice::Cpu).ok().map(|loaded| (loaded.value, loaded.note));
        assert_eq!(cpu, Some((true, None)));
    }

    #[test]
    fn parses_the_name_of_every_choice() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("tpu".parse::<DeviceChoice>().is_err());
    }
}
