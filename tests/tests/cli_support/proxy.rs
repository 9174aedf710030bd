//! A server in front of another that says nothing about one thing.
//!
//! Owns its connections. Invariant: what is not held back goes to the server behind it and comes back as it is.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// See the module's documentation.
pub struct Proxy {
    pub url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// A part of the paths that are never answered.
    held: Mutex<Option<String>>,
    /// How many who ask for such a path wait.
    waiting: AtomicUsize,
    /// The paths that were asked for while somebody waited.
    meanwhile: Mutex<Vec<String>>,
}

impl Proxy {
    /// In front of the server at this URL, `http://HOST:PORT`.
    pub fn start(behind: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there are ports");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let (state, behind) = (Arc::<State>::default(), behind.trim_start_matches("http://").to_owned());
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, behind) = (shared.clone(), behind.clone());
                // An error is one of the other two ends having gone.
                thread::spawn(move || drop(pass(stream, &behind, &shared)));
            }
        });
        Self { url, state }
    }

    /// Holds back what is asked of paths with this in them, from now on.
    pub fn hold(&self, part: &str) {
        *self.state.held.lock().expect("nobody panics with it") = Some(part.to_owned());
    }

    /// Holds back nothing from now on. Whoever waits still does.
    pub fn release(&self) {
        *self.state.held.lock().expect("nobody panics with it") = None;
    }

    /// Whether a path with this in it was asked for while somebody waited.
    pub fn was_asked_meanwhile(&self, part: &str) -> bool {
        self.state.meanwhile.lock().expect("nobody panics with it").iter().any(|path| path.contains(part))
    }
}

fn pass(mut client: TcpStream, behind: &str, state: &State) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let (line, rest) = text.split_once("\r\n").unwrap_or_default();
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_held = state.held.lock().expect("nobody panics with it").as_ref().is_some_and(|part| path.contains(part));
    if is_held {
        state.waiting.fetch_add(1, Ordering::SeqCst);
        // Until the client gives up.
        let ended = client.read(&mut byte);
        state.waiting.fetch_sub(1, Ordering::SeqCst);
        return ended.map(drop);
    }
    if state.waiting.load(Ordering::SeqCst) > 0 {
        state.meanwhile.lock().expect("nobody panics with it").push(path);
    }
    let mut server = TcpStream::connect(behind)?;
    // One question for each connection, so that each is looked at.
    server.write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes())?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || io::copy(&mut from_client, &mut to_server));
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)?;
    drop(up.join());
    Ok(())
}
