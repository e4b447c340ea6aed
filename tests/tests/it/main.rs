//! What must hold of the whole, in one program: a module for each area, found by its name
//! (`cargo test --workspace --test it scim::`). Every test has a system of its own; what it is made of, and a way to call
//! each operation, stand in `testkit`, the fixture of most tests over HTTP in [`fixture`].

mod access;
mod auto_deploy;
mod bad_input;
mod cap;
mod capacity;
mod commands;
mod commit_size;
mod consumers;
mod contract;
mod deployments;
mod description;
mod documents;
mod exports;
mod faults;
mod fixture;
mod jobs;
mod journeys;
mod life;
mod lists;
mod markers;
mod meanwhile;
mod messages;
mod people;
mod personal_tokens;
mod phones;
mod profiles;
mod releases;
mod scim;
mod seam;
mod sources;
mod stored_shapes;
mod tokens;
mod webhooks;
mod wire;
mod wiring;
