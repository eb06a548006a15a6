//! The repository agrees with itself: folders, template, README, protocol and limits say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use local::functions::FUNCTIONS;
use local::template::{Deployment, Template};
use shared::limits;
use wire::{ACTIONS, Action};

mod imports;

use imports::Imports;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn set<T: Into<String>>(items: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    items.into_iter().map(Into::into).collect()
}

/// What PATTERN's first group matches in TEXT.
fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = regex_lite::Regex::new(pattern).expect("a pattern");
    set(pattern.captures_iter(text).map(|found| found[1].to_owned()))
}

fn deployment() -> Deployment {
    let template = Template::parse(&read("template.yaml")).expect("a template");
    template.deploy(&BTreeMap::new(), "http://127.0.0.1").expect("a deployment")
}

fn folders() -> BTreeSet<String> {
    let entries = std::fs::read_dir(root().join("functions")).expect("functions");
    set(entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")))
}

/// Every source file below DIR with its text, without its unit tests.
fn sources(dir: &str) -> Vec<(PathBuf, String)> {
    let without_tests = |text: String| text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    sources_with_tests(dir).into_iter().map(|(path, text)| (path, without_tests(text))).collect()
}

/// Every source file below DIR with its text.
fn sources_with_tests(dir: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn every_folder_of_functions_is_deployed_run_locally_and_in_the_readme() {
    let folders = folders();
    assert_eq!(folders, set(deployment().functions.into_keys()), "template.yaml");
    assert_eq!(
        folders,
        set(FUNCTIONS.map(|function| function.name())),
        "local/src/functions.rs and each FUNCTION's name"
    );
    assert_eq!(folders, found(r"(?m)^\| `functions/(\w+)` \|", &read("README.md")), "README.md");
    for folder in folders {
        let main = read(format!("functions/{folder}/src/main.rs"));
        let code: Vec<&str> = main.lines().filter(|line| !line.starts_with("//!") && !line.is_empty()).collect();
        assert_eq!(code.len(), 3, "functions/{folder}/src/main.rs does nothing but call main");
        assert!(main.contains(&format!("{folder}::FUNCTION.main()")), "functions/{folder}/src/main.rs");
    }
}

/// All that is missing is named at once.
#[test]
fn every_action_has_a_type_a_row_of_the_table_a_handler_a_route_a_row_of_the_protocol_and_a_test() {
    let types = found(r#"(?m)^    "(\w+)" \w+ \{"#, &read("wire/src/requests.rs"));
    let table: BTreeMap<&str, &Action> = ACTIONS.iter().map(|action| (action.name, action)).collect();
    let routes = deployment().websocket.routes;
    let protocol = read("docs/protocol.md");
    let rows = protocol.split("## Actions").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("the table");
    let rows = found(r"(?m)^\| `(\w+)` \|", rows);
    let named = types.iter().chain(&rows).map(String::as_str).chain(table.keys().copied());
    let actions: BTreeSet<&str> =
        named.chain(routes.keys().map(|it| &**it).filter(|it| !it.starts_with('$'))).collect();
    // Only where tests are about an action: the lists of all actions, and what others do on their way, say each of them.
    let all: String = actions.iter().filter_map(|action| tests_of(action)).collect();
    let person = read("tests/src/person.rs");
    let mut missing = Vec::new();
    for action in actions {
        let mut lacks = |there: bool, what: &str| {
            if !there {
                missing.push(format!("{action}: {what}"));
            }
        };
        lacks(types.contains(action), "its request type in wire/src/requests.rs");
        lacks(table.contains_key(action), "its row in wire/src/actions.rs");
        let function = table.get(action).map_or("FUNCTION", |row| row.function);
        let handler = format!("{}{}::ACTION", action[..1].to_uppercase(), &action[1..]);
        let handlers = std::fs::read_to_string(root().join(format!("functions/{function}/src/lib.rs")));
        lacks(
            handlers.is_ok_and(|text| text.contains(&handler)),
            &format!("{handler} in functions/{function}/src/lib.rs, the function that its row in the table names"),
        );
        lacks(routes.get(action).is_some_and(|it| it == function), "its route in template.yaml to that function");
        lacks(rows.contains(action), "its row in docs/protocol.md");
        let answer = table.get(action).map_or("", |row| row.answer);
        lacks(
            rows_of(&protocol, action).contains(&format!("`{answer}`")),
            "its answer, as in the table, in docs/protocol.md",
        );
        let (tests, said) = (tests_of(action).unwrap_or_else(|| all.clone()), sayings(action, &person));
        lacks(
            said.iter().any(|saying| tests.contains(saying)),
            &format!(
                "a test in tests/tests/people/, in its own file or in another action's, that says one of {said:?}"
            ),
        );
    }
    assert!(missing.is_empty(), "what is missing:\n{}", missing.join("\n"));
}

/// An action's row of the protocol's table.
fn rows_of(protocol: &str, action: &str) -> String {
    protocol.lines().filter(|line| line.starts_with(&format!("| `{action}` |"))).collect()
}

/// The tests in an action's own file, if it has one: not each is worth it.
fn tests_of(action: &str) -> Option<String> {
    let words = regex_lite::Regex::new("[A-Z]").expect("a pattern");
    let file = words.replace_all(action, "_$0").to_lowercase();
    std::fs::read_to_string(root().join(format!("tests/tests/people/{file}.rs"))).ok()
}

/// How a test says an action: by its name, or by a verb of the people's, which are in PERSON.
fn sayings(action: &str, person: &str) -> Vec<String> {
    let name = format!("\"action\": \"{action}\"");
    let functions = person.split("fn ").skip(1).filter(|function| function.contains(&name));
    let verbs = functions.filter_map(|function| Some(format!(".{}(", function.split_once('(')?.0)));
    verbs.chain([name.clone()]).collect()
}

#[test]
fn every_event_and_error_code_is_in_the_protocol() {
    let protocol = read("docs/protocol.md");
    for event in found(r#"#\[serde\(rename = "([a-z:]+)"\)\]"#, &read("wire/src/events.rs")) {
        assert!(protocol.contains(&format!("`{event}`")), "docs/protocol.md lacks the event {event}");
    }
    let codes = set(wire::Code::ALL.iter().map(|code| code.as_str()));
    let section = protocol.split("## Error codes").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("codes");
    let written = found(r"`([a-z]+_?[a-z_]*)`", section);
    let unwritten: Vec<&String> = codes.difference(&written).collect();
    assert!(codes.len() > 10 && unwritten.is_empty(), "docs/protocol.md lacks {unwritten:?}");
    let unknown: Vec<&String> = written.difference(&codes).collect();
    assert!(unknown.is_empty(), "docs/protocol.md has codes that nothing gives: {unknown:?}");
}

#[test]
fn every_http_route_is_deployed_handled_and_in_the_protocol() {
    let routes = set(deployment().http_routes.iter().map(|route| format!("{} {}", route.method, route.path)));
    let handled = found(r#""((?:GET|POST|PUT|DELETE) /[^"]*)""#, &read("functions/admin/src/lib.rs"));
    assert_eq!(routes, handled, "functions/admin");
    assert_eq!(routes, found(r"(?m)^\| `((?:GET|POST|PUT|DELETE) /[^`]*)`", &read("docs/protocol.md")), "the protocol");
}

#[test]
fn every_variable_is_set_and_read() {
    let (_, config) = sources("shared/src").into_iter().find(|(path, _)| path.ends_with("config.rs")).expect("it");
    let mut read = found(r#""([A-Z][A-Z_]+)""#, &config);
    // Those that Lambda itself sets.
    read.retain(|name| !name.starts_with("AWS_"));
    let functions = deployment().functions;
    let set_somewhere = set(functions.values().flat_map(|function| function.environment.keys().map(String::as_str)));
    assert_eq!(read, set_somewhere, "shared/src/config.rs and template.yaml");
    for (name, function) in functions {
        let has_secret = function.environment.contains_key("JWT_SECRET_ARN");
        assert_eq!(has_secret, name == "authorize" || name == "admin", "{name}: who may know the tokens' secret");
        let opens = crate::read(format!("functions/{name}/src/lib.rs")).contains("Archive::open");
        assert_eq!(function.environment.contains_key("ARCHIVE_BUCKET"), opens, "{name}: who opens the archive");
        let moves = function.environment.contains_key("DELIVERED_RETENTION_DAYS");
        assert_eq!(moves, name == "cleanup", "{name}: who moves messages");
    }
}

/// The house of `shared`: its floors from the ground up, and on each floor from left to right.
const FLOORS: [&[&str]; 6] = [
    &["limits", "clock", "jitter", "error", "config", "telemetry"],
    &["aws"],
    &["store", "secret", "push", "queue", "archive"],
    &["auth", "memory", "app"],
    &["chat"],
    &["run"],
];

/// Where a room of the house is: its floor, and its place there.
fn place(room: &str) -> Option<(usize, usize)> {
    let on = |floor: &&[&str]| floor.iter().position(|name| *name == room);
    FLOORS.iter().enumerate().find_map(|(number, floor)| Some((number, on(floor)?)))
}

#[test]
fn each_floor_of_the_house_uses_those_below_it() {
    let imports = Imports::of(&root().join("shared/src"), &sources("shared/src"));
    for (module, uses) in &imports.uses {
        let Some(room) = module.first() else { continue };
        let here = place(room).unwrap_or_else(|| panic!("{room} is new in shared/src: give it a floor in FLOORS"));
        for (used, path) in uses {
            let Some(other) = used.first() else { panic!("{} uses {path}: name the room itself", module.join("::")) };
            let there = place(other).unwrap_or_else(|| panic!("{other} has no floor in FLOORS"));
            assert!(
                there < here || other == room,
                "shared: {} (floor {}) uses {path} (floor {}), which is not below it. Move what it takes from there down, \
                 to floor {} or below; or move what uses it up, to floor {} or above",
                module.join("::"),
                here.0,
                there.0,
                here.0,
                there.0,
            );
        }
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let roots = [
        "wire/src",
        "shared/src",
        "local/src",
        "benches/src/bin/years",
        "tests/tests/people",
        "tests/tests/repository",
        "local/tests/chat",
        "local/tests/gateway",
    ];
    let functions: Vec<String> = folders().into_iter().map(|folder| format!("functions/{folder}/src")).collect();
    let circles = roots.into_iter().chain(functions.iter().map(String::as_str)).filter_map(|dir| {
        let imports = Imports::of(&root().join(dir), &sources(dir));
        assert!(!imports.files.is_empty(), "{dir} has no sources");
        let steps = imports.circle()?;
        let steps = steps.into_iter().map(|(module, path)| format!("{} uses {path}", module.join("::")));
        Some(format!("{dir}: {}", steps.collect::<Vec<_>>().join(", ")))
    });
    let circles: Vec<String> = circles.collect();
    assert!(
        circles.is_empty(),
        "which of these points the wrong way? Move what it takes to where both can use it:\n{}",
        circles.join("\n")
    );
}

#[test]
fn only_one_place_knows_each_outside_thing() {
    for (needle, only) in [
        ("aws_sdk_dynamodb", "shared/src/store/client"),
        ("aws_sdk_apigatewaymanagement", "shared/src/push.rs"),
        ("aws_smithy_runtime::client::orchestrator", "shared/src/aws/s3.rs"),
        ("aws_sdk_secretsmanager", "shared/src/secret.rs"),
        ("use ring::", "shared/src/auth/crypto.rs"),
        ("aws_sdk_sqs", "shared/src/queue.rs"),
        ("lambda_http", "shared/src/run"),
        ("zstd", "shared/src/archive.rs"),
        ("std::env", "shared/src/config.rs"),
        ("Timestamp::now", "shared/src/clock.rs"),
        ("fastrand::f64", "shared/src/jitter.rs"),
    ] {
        for (path, text) in ["wire/src", "shared/src", "functions"].into_iter().flat_map(sources) {
            assert!(!text.contains(needle) || path.starts_with(root().join(only)), "{} uses {needle}", path.display());
        }
    }
    let wire = read("wire/Cargo.toml");
    for outside in ["aws", "tokio", "lambda", "shared"] {
        assert!(!wire.contains(outside), "wire is for clients, too, which have no {outside}");
    }
    for folder in folders() {
        let manifest = read(format!("functions/{folder}/Cargo.toml"));
        assert!(!manifest.contains("aws"), "functions/{folder} depends on shared, never on an AWS SDK");
    }
}

#[test]
fn nothing_but_verify_scans_and_nothing_opens_a_transaction() {
    for (path, text) in sources("shared/src").into_iter().chain(sources("functions")) {
        for absent in ["transact_write", "transact_get", "execute_statement"] {
            assert!(!text.contains(absent), "{}: {absent}", path.display());
        }
        // Whoever scans is `verify`.
        let scans = ["shared/src/store/client/mod.rs", "shared/src/store/scan.rs", "shared/src/chat/verify/mod.rs"];
        let may = scans.iter().any(|scans| path.ends_with(scans));
        assert!(may || !text.contains(".scan(") && !text.contains("scan_page"), "{} scans", path.display());
    }
    let template = read("template.yaml");
    for (name, function) in deployment().functions {
        let scans = function.policy.iter().any(|statement| statement["Action"].to_string().contains("dynamodb:Scan"));
        assert_eq!(scans, name == "verify", "{name}");
    }
    for absent in ["dynamodb:*", "execute-api:*", "Resource: \"*\""] {
        assert!(!template.contains(absent), "template.yaml: {absent}");
    }
}

#[test]
fn what_the_security_page_names_exists() {
    let page = read("docs/security.md");
    let code: String = ["tests", "local"]
        .into_iter()
        .flat_map(sources_with_tests)
        .map(|(_, text)| text)
        .collect::<Vec<_>>()
        .join("\n");
    let tests = found(r"`([a-z]+(?:_[a-z0-9]+){3,})`", &page);
    assert!(tests.len() > 20, "{tests:?}");
    for test in tests {
        assert!(code.contains(&format!("fn {test}(")), "docs/security.md names the test {test}");
    }
    for path in found(r"`((?:wire|shared|tests|local|scripts)/[a-z_/.-]+)`", &page) {
        assert!(root().join(&path).exists(), "docs/security.md names {path}");
    }
}

#[test]
fn every_function_is_watched_and_every_metric_and_alarm_explained() {
    let (template, operations) = (read("template.yaml"), read("docs/operations.md"));
    let functions = found(r"(?m)^  (\w+)Function:$", &template);
    assert_eq!(functions.len(), folders().len());
    for function in functions {
        assert!(
            template.contains(&format!("LoggingConfig: {{ LogGroup: !Ref {function}Logs }}")),
            "{function}'s lines"
        );
        let errors =
            format!("MetricName: Errors, Dimensions: [{{ Name: FunctionName, Value: !Ref {function}Function }}]");
        assert!(template.contains(&errors), "template.yaml: {function}'s errors are in no alarm");
    }
    let telemetry = read("shared/src/telemetry.rs");
    let metrics =
        telemetry.split("pub enum Metric {").nth(1).and_then(|rest| rest.split("\n}").next()).expect("metrics");
    let metrics = found(r"(?m)^    (\w+),$", metrics);
    let alarms = found(r"(?m)^  (\w+Alarm):$", &template);
    assert!(metrics.len() > 10 && alarms.len() > 5, "{metrics:?} {alarms:?}");
    for name in metrics.iter().chain(&alarms) {
        assert!(operations.contains(&format!("`{name}`")), "docs/operations.md lacks {name}");
    }
    let dashboard = template.split("  Dashboard:").nth(1).expect("a dashboard").replace('\\', "");
    for name in metrics {
        assert!(dashboard.contains(&format!("\"{name}\"")), "the dashboard lacks {name}");
    }
    for alarm in alarms {
        assert!(dashboard.contains(&format!("${{{alarm}.Arn}}")), "the dashboard lacks {alarm}");
    }
}

#[test]
fn time_limits_and_limits_fit_each_other() {
    let deployment = deployment();
    // API Gateway waits 29 s for an integration:
    // https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
    let integration = Duration::from_secs(29);
    let answering = deployment.websocket.routes.values().chain(deployment.websocket.authorizer.iter());
    for name in answering.chain(deployment.http_routes.iter().map(|route| &route.function)) {
        let timeout = deployment.functions[name].timeout;
        assert!(timeout < integration, "{name} would answer after API Gateway has given up");
        assert!(limits::CALL_TIMEOUT < timeout, "{name} would end before its first call to the store");
    }
    for schedule in &deployment.schedules {
        assert!(
            deployment.functions[&schedule.function].timeout < schedule.period,
            "{} overlaps itself",
            schedule.name
        );
    }
    let longest = deployment.functions["send"].timeout;
    assert!(limits::VOID_AFTER > longest, "the sweep would compete with sends that are still under way");
    assert!(limits::ATTEMPT_TIMEOUT < limits::CALL_TIMEOUT);
    // A signed request is good for 15 minutes, and so is the SDK's idea of the time.
    let longest = deployment.functions.values().map(|function| function.timeout).max().expect("functions");
    assert!(limits::DELETE_AFTER > (longest + Duration::from_secs(900)) * 10, "somebody may read what is deleted");
    let cleanup = deployment.schedules.iter().find(|schedule| schedule.function == "cleanup").expect("a schedule");
    assert!(limits::DELETE_AFTER < cleanup.period, "what has moved would be deleted two days later");
    assert!(limits::CLEANUP_STOPS_BEFORE * 2 < deployment.functions["cleanup"].timeout, "it would hardly begin");
    assert!(limits::CONNECTION_LIFE > Duration::from_secs(2 * 3_600), "a connection lives 2 h");
}

#[test]
fn every_limit_is_reached_by_a_test() {
    let limits: Vec<String> = ["shared/src/limits.rs", "wire/src/limits.rs"]
        .into_iter()
        .flat_map(|file| {
            let consts = regex_lite::Regex::new(r"(?m)^pub const (\w+):").expect("a pattern");
            let text = read(file);
            consts.captures_iter(&text).map(|found| found[1].to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let list = read("tests/tests/limits.txt");
    let rows = list.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(limits, rows.iter().map(|row| row[0]).collect::<Vec<_>>(), "tests/tests/limits.txt");
    for row in rows {
        let [limit, file, test] = row.as_slice() else { panic!("tests/tests/limits.txt: {row:?}") };
        let test = format!(r"(?m)^ *#\[(tokio::)?test(\(.*\))?\]\n *(async )?fn {test}\(\)");
        let test = regex_lite::Regex::new(&test).expect("a pattern");
        assert!(test.is_match(&read(file)), "tests/tests/limits.txt: {limit} is said to be reached by {row:?}");
    }
}

/// Their `Cargo.toml` leaves them out of what is compiled as tests, which takes long where there are none.
#[test]
fn no_test_stands_where_none_is_run() {
    let mut code: Vec<_> = ["functions", "tests/src", "benches/src"].into_iter().flat_map(sources_with_tests).collect();
    assert!(code.len() > 50, "the code is somewhere else");
    code.push((PathBuf::from("local/src/main.rs"), read("local/src/main.rs")));
    for (path, text) in code {
        let tests = found(r"(?m)^ *#\[((?:\w+::)*test\b|cfg\(test\))", &text);
        assert!(tests.is_empty(), "{}: a test here would never run; they stand in tests/tests/", path.display());
        let examples = found(r"(?ms)^ *//[/!] ```(\w*)$.*?```$", &text);
        assert!(examples.iter().all(|it| it == "sh" || it == "text"), "{}: an example that never runs", path.display());
    }
}

/// SAM's cache would deploy what was built before `shared` changed.
#[test]
fn every_build_takes_what_is_there() {
    let samconfig = read("samconfig.toml");
    assert!(samconfig.lines().any(|line| line == "cached = false"), "samconfig.toml must not have SAM's cache used");
}

#[test]
fn the_queue_is_as_its_function_takes_it_to_be() {
    let deployment = deployment();
    let [source] = deployment.event_sources.as_slice() else { panic!("one function works one queue off") };
    let function = &deployment.functions[&source.function];
    let queue = deployment.queues.iter().find(|queue| queue.name == source.queue).expect("the queue");
    let redrive = queue.redrive.as_ref().expect("a dead-letter queue");
    assert_eq!(redrive.receives_max, limits::DELIVER_RECEIVES_MAX, "maxReceiveCount");
    assert_eq!(source.concurrency_max, limits::DELIVER_AT_ONCE as usize, "MaximumConcurrency");
    // Lambda's advice: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert!(queue.visibility >= function.timeout * 6, "a batch would be received again while it is worked on");
    let waits: Duration = (1..limits::DELIVER_RECEIVES_MAX).map(|n| limits::DELIVER_BACKOFF * 2_u32.pow(n - 1)).sum();
    assert!(waits < queue.retention, "messages would be forgotten before their last turn");
    let dead = deployment.queues.iter().find(|queue| queue.name == redrive.dead_letters).expect("it");
    assert_eq!(dead.retention, Duration::from_secs(14 * 24 * 3_600), "as long as SQS keeps anything");
    // The slowest pace, PushesPerSecond's MinValue, and then everything that a turn may wait for.
    let paces =
        Duration::from_secs(1) * limits::DELIVER_AT_ONCE / 10 * u32::try_from(source.batch_size).expect("small");
    let turn = limits::CALL_TIMEOUT + limits::PUSH_TIMEOUT + limits::QUEUE_CALL_TIMEOUT;
    assert!(paces + turn < function.timeout, "a batch would not end in its time");
}

/// Limits that the compiler can hold against each other.
const _: () = {
    assert!(limits::DROP_BATCH < limits::OPEN_MAX);
    assert!(limits::SETTLE_BATCH <= limits::BATCH_GET_KEYS_MAX);
    assert!(wire::limits::USERS_ASKED_MAX <= limits::BATCH_GET_KEYS_MAX);
    // DynamoDB takes a sort key of 1,024 bytes, also in a query; base64 decodes to three quarters.
    assert!(wire::limits::CURSOR_CHARS_MAX / 4 * 3 <= 1_024);
    assert!(wire::limits::PAGE_BYTES_MAX < wire::limits::MESSAGE_BYTES_MAX);
    // A message with the longest content, each character escaped to six bytes or being four, fits a page.
    assert!(wire::limits::CONTENT_CHARS_MAX * 6 < wire::limits::PAGE_BYTES_MAX);
    assert!(wire::limits::PAGE_ITEMS_DEFAULT <= wire::limits::PAGE_ITEMS_MAX);
    assert!(wire::limits::SYNC_MESSAGES_MAX >= wire::limits::PAGE_ITEMS_MAX as usize);
    // A page of history touches two segments, unless many are smaller than usual.
    assert!(limits::SEGMENT_MESSAGES_MIN >= wire::limits::PAGE_ITEMS_MAX as usize);
    assert!(limits::SEGMENT_MESSAGES_MIN < limits::SEGMENT_MESSAGES_MAX && limits::HISTORY_SEGMENTS_MAX > 2);
    assert!(limits::DELETE_MARK_EVERY as usize >= limits::BATCH_WRITE_ITEMS_MAX);
};
