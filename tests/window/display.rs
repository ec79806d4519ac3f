//! A virtual display with the real program on it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A virtual display server, which ends with the test.
pub struct Display {
    server: Child,
    name: String,
}

impl Display {
    /// Starts a server. Without Xvfb, returns `None`, or panics if `IVG_TEST_WINDOW=required`.
    pub fn required() -> Option<Self> {
        Self::start().or_else(|| missing("Xvfb is not installed; apt-get install xvfb"))
    }

    /// Same as [`Display::required`], for tests that also need xdotool.
    pub fn with_input() -> Option<Self> {
        let mut version = Command::new("xdotool");
        let version = version.arg("version").stdout(Stdio::null()).status();
        match version {
            Ok(_) => Self::required(),
            Err(_) => missing("xdotool is not installed; apt-get install xdotool"),
        }
    }

    fn start() -> Option<Self> {
        // The server selects a free display and writes its number to file descriptor 1.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1600x1000x24", "+extension", "GLX"])
            .args(["-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut number = String::new();
        BufReader::new(server.stdout.take()?).read_line(&mut number).ok()?;
        Some(Self { server, name: format!(":{}", number.trim()) })
    }

    /// Returns the command that opens the program on this display, with a profile in `home`.
    pub fn program(&self, home: &Path) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_ivg-playground"));
        self.enter(&mut program);
        program
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            // The profile of the user who runs the tests must not be used.
            .env("HOME", home)
            .env("XDG_DATA_HOME", home)
            // No file dialog of a desktop may open.
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
        program
    }

    /// Sends mouse and keyboard events with xdotool. Panics if it fails.
    pub fn input(&self, arguments: &[&str]) {
        let mut tool = Command::new("xdotool");
        self.enter(&mut tool);
        let status = tool.args(arguments).status().expect("xdotool");
        assert!(status.success(), "xdotool {arguments:?} failed");
    }

    /// Returns the name of the display.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn enter(&self, command: &mut Command) {
        command.env("DISPLAY", &self.name).env_remove("WAYLAND_DISPLAY");
    }
}

/// Skips a test with this reason, or panics if `IVG_TEST_WINDOW=required`.
fn missing<T>(reason: &str) -> Option<T> {
    let is_required = std::env::var("IVG_TEST_WINDOW").is_ok_and(|value| value == "required");
    assert!(!is_required, "{reason}");
    eprintln!("skipped: {reason}");
    None
}

impl Drop for Display {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
