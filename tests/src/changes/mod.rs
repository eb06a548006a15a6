//! How a message changes, explored exhaustively: an edit, a reaction, a deletion for everyone, and how a device that was away
//! learns of it. It is tried in every order of requests that a few processes can have.
//!
//! Changes aren't built yet. This comes first, and the code will be written against it. What it is like is what
//! [`model`](super::model) is like: a state is the table, a device, and where each process is; a step is one request, a read
//! or a conditional write, with what its caller decides from the answer.
//!
//! | here | stands for |
//! |---|---|
//! | `store` | what `shared::store` will hold of changes: LOG, CHANGE, `last_change`, MEMBER; and what a device has |
//! | `write` | what `shared::store` will write, each with its condition |
//! | `step` | where a process can be |
//! | `change` | what `editMessage`, `react` and `deleteMessage` for everyone will do; how somebody leaves and joins |
//! | `effects` | what follows from a change: the feed, `last_change`, the push, the index; what the sweep will do |
//! | `archive` | what the cleanup will do with a message |
//! | `trim` | what the cleanup will do with the feed |
//! | `device` | what a client does: it connects, syncs, is pushed, loses its connection; what `sync` will do for it |
//! | `check` | what must hold: at every step, and once the world is quiet |
//! | `configurations` | who takes part |
//! | `mutants` | the same without one guard, or in another order: each must be caught |
//!
//! Of the archive there is what concerns a change: the cleanup announces the first number, writes its object, says that the
//! archive has it, and deletes the message; what changes since is an overlay.
//!
//! What can go wrong is what can go wrong there: death anywhere, lost replies, requests that the SDK repeats and that arrive
//! late, processes that pause for however long, an index that is behind, queries that are no snapshot. A push arrives when it
//! is sent, which may be long after PRESENCE was read; on a connection that was lost it comes to nobody. A connection may be
//! lost while a `sync` is under way: what has come stays, with its cursor.
//!
//! **What it asks for.** A request changes a message once, however often and late it is repeated. No two changes have one
//! `rev`. An edit that names a `rev` changes that one. What is deleted isn't changed. Nobody is refused whose change was
//! applied. `last_change` never names an entry that isn't there. Once quiet: a device that is connected and has synced shows
//! each message as the server has it, and so does one that was away and syncs with its cursor; nothing is due. In a group:
//! whoever is out, or joined after a message, is never shown a change of it that is made then, and a device that has synced
//! shows nothing below `first_seq`.
//!
//! **What it takes as given.** An entry of the feed is deleted only when nobody is left who looked for the highest entry before
//! it was put, and a message's object is written only when nobody is left who read META before its number was announced: the
//! real cleanup waits for longer than any function, and any request of it, can live. No `rev` is named before it is there. And
//! what [`membership`](super::membership) shows: MEMBER is one put here, and a device that is connected all the while is told
//! of it there.
//!
//! **What it doesn't need.** A message whose object is written is deleted at once here: who finds it gone reads META again.
//! `sync` resets a device only where the feed lacks an entry, not because it is far behind.
//!
//! What is left out: who may change a message, voids; reactions, which are edits here; that LOG remembers only the last few
//! requests, and the hash of each; more than two messages, and more than one device; new messages; what one hides for oneself,
//! whose feed is another of this kind; slices; that an attempt ends, which it does because a refused one reads META again; the
//! daily run that puts overlays into objects, and the objects' generations. A device reads all its messages again after a
//! `reset`, not only the newest page.
//!
//! The small configurations and all mutants run with `cargo test -p tests --test model`; the large ones with
//! `cargo run -p tests --release --bin model`.

mod archive;
mod change;
mod check;
mod configurations;
mod device;
mod effects;
mod mutants;
mod state;
mod step;
mod store;
mod trim;
mod write;

pub use configurations::{Configuration, configurations};
pub use mutants::Mutant;
pub use state::explore;
