//! Which device computes: a GPU where the program was built for one and there is one, or else the
//! processor.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use super::error::PackError;
use crate::quiet::catch_quietly;

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The GPU if there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The GPU; where there is none, the processor and a sentence.
    Gpu,
}

impl DeviceChoice {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Cpu, Self::Gpu];

    /// Its name on a command line.
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

/// Why this build uses no GPU, whatever the machine has; none where it does use one.
pub fn no_gpu_support() -> Option<&'static str> {
    (!cfg!(any(feature = "cuda", feature = "metal"))).then_some(
        "this program was built without GPU support; build it with --features cuda (NVIDIA) or \
         --features metal (Apple)",
    )
}

/// The first GPU.
///
/// # Errors
/// Why there is none, as a clause.
fn gpu() -> Result<Device, String> {
    if let Some(reason) = no_gpu_support() {
        return Err(reason.to_owned());
    }
    let open = || {
        if cfg!(feature = "metal") { Device::new_metal(0) } else { Device::new_cuda(0) }
    };
    // Without a driver, the bindings panic instead of telling.
    match catch_quietly(open) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(e)) => {
            // A backtrace may follow.
            let text = e.to_string();
            let words = text.lines().next().unwrap_or_default();
            Err(format!("no GPU answers ({words}); look at its driver"))
        }
        Err(_) => Err("no GPU driver was found; install the one of your GPU's maker".to_owned()),
    }
}

/// What was loaded, on which device, and what is to be said about it.
pub(super) struct Loaded<T> {
    pub what: T,
    pub device: Device,
    pub note: Option<String>,
    pub was_too_large: bool,
}

/// Loads on the device that `choice` asks for; what does not fit into a GPU's memory is loaded on
/// the processor.
///
/// # Errors
/// What `load` reports.
pub(super) fn load_on<T>(
    choice: DeviceChoice,
    load: impl FnMut(&Device) -> Result<T, PackError>,
) -> Result<Loaded<T>, PackError> {
    let (device, note) = match choice {
        DeviceChoice::Cpu => (Device::Cpu, None),
        DeviceChoice::Auto => (gpu().unwrap_or(Device::Cpu), None),
        DeviceChoice::Gpu => match gpu() {
            Ok(device) => (device, None),
            Err(reason) => (Device::Cpu, Some(format!("The processor computes: {reason}."))),
        },
    };
    or_on_processor(device, note, load)
}

fn or_on_processor<T>(
    device: Device,
    note: Option<String>,
    mut load: impl FnMut(&Device) -> Result<T, PackError>,
) -> Result<Loaded<T>, PackError> {
    match load(&device) {
        Ok(what) => Ok(Loaded { what, device, note, was_too_large: false }),
        Err(e) if !device.is_cpu() && is_out_of_memory(&e) => {
            let what = load(&Device::Cpu)?;
            let note = "The processor computes: the GPU's memory is too small for this pack.";
            let note = Some(note.to_owned());
            Ok(Loaded { what, device: Device::Cpu, note, was_too_large: true })
        }
        Err(e) => Err(e),
    }
}

/// Whether an error, or one that it stems from, says that a GPU's memory is used up. The drivers
/// have no common kind for it, only words.
pub fn is_out_of_memory(error: &(dyn Error + 'static)) -> bool {
    // CUDA says CUDA_ERROR_OUT_OF_MEMORY or "out of memory", cuBLAS ALLOC_FAILED, and Metal that a
    // buffer could not be created.
    let known = ["out of memory", "out_of_memory", "alloc_failed", "create metal resource"];
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().to_lowercase();
        if known.iter().any(|words| text.contains(words)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// The device in words.
pub fn device_name(device: &Device) -> String {
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

    fn model_error(words: &str) -> PackError {
        let source = LmError::Tensor(candle_core::Error::Cuda(words.into()));
        PackError::Model { role: "base", source }
    }

    /// Without CUDA its device is a name alone: enough to ask for one.
    #[cfg(not(feature = "cuda"))]
    #[test]
    fn what_does_not_fit_the_gpu_is_loaded_on_the_processor_with_a_sentence() {
        let gpu = || Device::Cuda(candle_core::CudaDevice);
        let mut asked = Vec::new();
        let loaded = or_on_processor(gpu(), None, |device| {
            asked.push(device_name(device));
            if device.is_cpu() { Ok(7) } else { Err(model_error("CUDA_ERROR_OUT_OF_MEMORY")) }
        });
        let Ok(Loaded { what: 7, device: Device::Cpu, note: Some(note), was_too_large: true }) =
            loaded
        else {
            panic!()
        };
        assert!(note.contains("too small"), "{note}");
        assert_eq!(asked.len(), 2);
        // Another fault is no reason to try again.
        let mut tries = 0;
        let failed = or_on_processor(gpu(), None, |_| {
            tries += 1;
            Err::<(), _>(model_error("a damaged file"))
        });
        assert!(failed.is_err() && tries == 1);
    }

    #[test]
    fn memory_that_is_used_up_is_known_by_what_the_drivers_say() {
        let said = ["CUDA_ERROR_OUT_OF_MEMORY", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED"];
        assert!(said.iter().all(|words| is_out_of_memory(&model_error(words))));
        assert!(!is_out_of_memory(&model_error("illegal address")));
    }

    #[test]
    fn a_build_without_gpu_support_says_so_when_asked_for_one() {
        let load = |choice| load_on(choice, |device| Ok(device.is_cpu()));
        let auto = load(DeviceChoice::Auto).ok().filter(|_| no_gpu_support().is_some());
        if let Some(auto) = auto {
            assert!(auto.what && auto.note.is_none());
            let asked = load(DeviceChoice::Gpu).ok().and_then(|loaded| loaded.note);
            assert!(asked.is_some_and(|note| note.contains("--features cuda")));
        }
        let cpu = load(DeviceChoice::Cpu).ok().map(|loaded| (loaded.what, loaded.note));
        assert_eq!(cpu, Some((true, None)));
    }

    #[test]
    fn choices_are_read_as_they_are_written() {
        for choice in DeviceChoice::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("tpu".parse::<DeviceChoice>().is_err());
    }
}
