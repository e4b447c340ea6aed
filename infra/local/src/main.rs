//! `cargo run`: the complete system on this machine.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aws::EgressPolicy;
use clap::Parser;
use local::api::Api;
use local::demo::{self, DemoClock};
use local::lines::Lines;
use local::people::{self, Imported};
use local::stack::{Stack, StackOptions};
use local::start_screen::{self, Workspace};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

/// The local database logs a warning for each failed condition, which is a normal outcome of a race.
const LOG_FILTER: &str = "warn,dynoxide=error";

/// Handset on this machine: its API with DynamoDB, SNS, SES and API Gateway, in one process.
#[derive(Parser)]
struct Arguments {
    /// Keep all data in this folder, and continue from it next time
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of the API; 0 for any free port
    #[arg(long, default_value_t = 4750)]
    port: u16,
    /// Create users from a CSV file and invite them: username,first_name,last_name,email,mobile,number
    #[arg(long, value_name = "FILE")]
    people: Option<PathBuf>,
    /// Fill the workspace with 200 people and their phones
    #[arg(long)]
    demo: bool,
    /// Let webhooks call this machine's loopback addresses, also by http
    #[arg(long)]
    allow_loopback: bool,
    /// Print {"url", "key", "workspace_id"} as the first line
    #[arg(long)]
    json: bool,
}

/// Stack size of each thread in bytes: that of a Lambda function's main thread, since the default is a quarter
/// of it, and unoptimised operations need more.
const STACK: usize = 8 << 20;

fn main() -> ExitCode {
    match Builder::new_multi_thread().enable_all().thread_stack_size(STACK).build() {
        Ok(runtime) => runtime.block_on(start_and_run()),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn start_and_run() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG_FILTER));
    let log = Lines::writing_to(std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || log.clone()).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let folder = arguments.data.as_deref();
    let clock = DemoClock::default();
    let options = StackOptions {
        data: arguments.data.clone(),
        port: Some(arguments.port),
        automatic: true,
        now: clock.now(),
        request_log: Some(Lines::writing_to(std::io::stdout())),
        webhooks: if arguments.allow_loopback { EgressPolicy::Loopback } else { EgressPolicy::Public },
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.map_err(|error| error.to_string())?;
    let mut workspace = start_screen::workspace(&stack, folder).await?;
    if arguments.json {
        println!("{}", start_screen::line(&workspace));
    }
    println!("{}", start_screen::screen(&workspace, folder));
    // One future for the complete run, so that a signal is noticed while people are created.
    let mut end = std::pin::pin!(wait_for_end());
    let ended = tokio::select! {
        filled = fill(&stack, &arguments, &mut workspace, &clock, folder) => match filled {
            Ok(()) => end.await,
            Err(error) => Err(error),
        },
        ended = &mut end => ended,
    };
    stack.save().map_err(|error| error.to_string())?;
    ended
}

/// Creates the data that the arguments ask for.
async fn fill(
    stack: &Stack,
    arguments: &Arguments,
    workspace: &mut Workspace,
    clock: &DemoClock,
    folder: Option<&Path>,
) -> Result<(), String> {
    if arguments.demo && !workspace.demo {
        create_demo(stack, workspace, clock, folder).await;
    }
    if let Some(file) = &arguments.people {
        let imported = people::import(Api::anonymous(stack).with_credential(&workspace.key), file).await?;
        print_import(&imported, file);
    }
    Ok(())
}

/// Creates the demo data. If that fails, the system keeps running.
async fn create_demo(stack: &Stack, workspace: &mut Workspace, clock: &DemoClock, folder: Option<&Path>) {
    println!("Creating {} people and their phones …", demo::PEOPLE);
    if let Err(error) = demo::create(stack, &workspace.key, clock, demo::PEOPLE).await {
        tracing::error!(error, "the demo data is incomplete");
        return;
    }
    println!("Done: {}/devices\n", workspace.url);
    workspace.demo = true;
    if let Err(error) = start_screen::save(workspace, folder) {
        tracing::error!(error, "cannot save that the demo data was created");
    }
}

fn print_import(imported: &Imported, file: &Path) {
    let Imported { created, existing, invited, errors } = imported;
    println!("{}: {created} users created, {existing} already exist, {invited} invited by e-mail", file.display());
    for (line, error) in errors {
        println!("{}:{line}: {error}", file.display());
    }
    println!();
}

/// Waits for Ctrl-C or a signal to end.
async fn wait_for_end() -> Result<(), String> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
            .map_err(|error| error.to_string())?;
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended.map_err(|error| error.to_string()),
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())
}
