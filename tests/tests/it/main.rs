//! Tests of the whole system, in one program with a module for each area
//! (`cargo test --workspace --test it scim::`). Every test has its own system; `testkit` has its parts and a sample
//! request of each operation, and [`fixture`] the fixture of most tests over HTTP.

mod access;
mod auto_deploy;
mod bad_input;
mod cadence;
mod cap;
mod capacity;
mod capacity_record;
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
mod job_ranges;
mod jobs;
mod journeys;
mod life;
mod lists;
mod markers;
mod meanwhile;
mod messages;
mod neighbours;
mod overview;
mod people;
mod personal_tokens;
mod phones;
mod profiles;
mod releases;
mod scim;
mod seam;
mod sorted_lists;
mod sources;
mod stored_shapes;
mod tokens;
mod webhooks;
mod wire;
mod wiring;
