//! A network behind HTTP: one model, four threads, and what is asked wrongly gets the error's text.
//!
//! ```text
//! cargo run --release --example serve -- [--seed N --out DIR --quick --stay]
//! ```
//!
//! A small net learns the embedded digits, is saved and opened again, and is served on this machine alone: `POST /` takes
//! rows as JSON, `[[…64 numbers…], …]`, and answers with a class and probabilities for each. A network infers by `&self`, so
//! threads share it without a lock. Four clients then ask for all 1,797 digits in turn and make every mistake there is. To
//! expect: the answers are those of the model itself, and a wrong row is told where it is wrong:
//!
//! ```text
//! 200  {"classes":[0],"probabilities":[[0.99…
//! 400  rows, row 0, column 3: expected a finite number, found NaN
//! 400  width of the rows (the network's input): expected 64, found 3
//! ```
//!
//! With `--stay` it goes on serving until it is stopped. For more than a try it wants a proxy in front: there is neither
//! encryption nor a limit on connections here.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::thread;

use gradus::data::matrix;
use gradus::ndarray::Array2;
use gradus::prelude::*;
use serde_json::{Value, json};
use support::{Arguments, Outcome};
use tiny_http::{Method, Request, Response, Server};

const THREADS: usize = 4;

/// More bytes than any question has.
const LONGEST: u64 = 1 << 22;

/// A trained model, from its file.
fn model(arguments: &Arguments, digits: &Dataset) -> Outcome<Model> {
    let mut rng = gradus::rng(arguments.seed);
    let scale = Normalizer::of(digits);
    let train = digits.clone().normalize(&scale)?;
    let mut net = Sequential::mlp(train.width(), &[50], train.classes()).build(&mut rng)?;
    Trainer::new(SoftmaxCrossEntropy, Adam::default()).epochs(arguments.steps(20, 5)).fit(&mut net, &train)?;
    let path = arguments.file("served.safetensors")?;
    Model::new(net).scale_inputs(scale)?.save(&path)?;
    Ok(Model::open(&path)?)
}

/// What the model says of the rows of a question, or what is wrong with them.
fn answer(model: &Model, question: &str) -> Outcome<String> {
    let rows: Vec<Vec<Option<f32>>> = serde_json::from_str(question)?;
    // JSON writes what is no number as null.
    let rows = rows.into_iter().map(|row| row.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect());
    let rows = matrix(&rows.collect::<Vec<Vec<f32>>>())?;
    let probabilities = model.predict_probabilities(&rows)?;
    let probabilities: Vec<_> = probabilities.rows().into_iter().map(|row| row.to_vec()).collect();
    Ok(json!({"classes": model.classify(&rows)?, "probabilities": probabilities}).to_string())
}

fn handle(model: &Model, mut request: Request) -> std::io::Result<()> {
    let mut question = String::new();
    let read = request.as_reader().take(LONGEST).read_to_string(&mut question);
    let (code, text) = match (request.method(), read) {
        (Method::Post, Ok(_)) => match answer(model, &question) {
            Ok(answer) => (200, answer),
            Err(error) => (400, error.to_string()),
        },
        (Method::Post, Err(error)) => (400, error.to_string()),
        _ => (405, "expected POST with rows as JSON".into()),
    };
    request.respond(Response::from_string(text).with_status_code(code))
}

/// Answers until the server is told to stop. A client that has gone away is its own affair.
fn serve(model: &Model, server: &Server) {
    for request in server.incoming_requests() {
        if let Err(error) = handle(model, request) {
            eprintln!("a client has gone: {error}");
        }
    }
}

/// One question over a connection of its own: the code and the text of the answer.
fn ask(address: SocketAddr, method: &str, body: &str) -> Outcome<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    let head = format!("{method} / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}");
    stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("an answer without a body")?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or("an answer without a code")?;
    Ok((code, body.into()))
}

/// Asks for a share of the rows; gives how many there were.
fn client(address: SocketAddr, model: &Model, rows: &Array2<f32>, first: usize) -> Outcome<usize> {
    let mut asked = 0;
    for row in rows.rows().into_iter().skip(first).step_by(THREADS) {
        let (code, text) = ask(address, "POST", &json!([row.to_vec()]).to_string())?;
        let found: Value = serde_json::from_str(&text)?;
        if (code, &found["classes"][0]) != (200, &json!(model.classify_row(row)?)) {
            return Err(format!("the server answers {code} {text}").into());
        }
        asked += 1;
    }
    Ok(asked)
}

/// Every mistake there is, with the text that it gets.
fn mistakes(address: SocketAddr) -> Outcome {
    let row = |value: &str| format!("[[1, 2, 3, {value}{}]]", ", 0".repeat(60));
    let questions = [
        ("POST", row("null"), 400, "rows, row 0, column 3: expected a finite number, found NaN"),
        ("POST", "[[1, 2, 3]]".into(), 400, "width of the rows (the network's input): expected 64, found 3"),
        ("POST", "[[1, 2], [3]]".into(), 400, "row 1: expected 2 numbers, as many as row 0 has, found 1"),
        ("POST", row("\"x\""), 400, "invalid type: string"),
        ("POST", "rows".into(), 400, "expected value at line 1"),
        ("GET", String::new(), 405, "expected POST"),
    ];
    for (method, body, expected, text) in questions {
        let (code, found) = ask(address, method, &body)?;
        if code != expected || !found.contains(text) {
            return Err(format!("expected {expected} {text}, found {code} {found}").into());
        }
        println!("{code}  {found}");
    }
    Ok(())
}

fn run(arguments: &Arguments) -> Outcome {
    let digits = Digits::load()?;
    let model = model(arguments, &digits)?;
    let server = Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = server.server_addr().to_ip().ok_or("the server has no address")?;
    println!("serving at http://{address}/\n");
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| serve(&model, &server));
        }
        let (model, rows) = (&model, digits.rows());
        let clients: Vec<_> = (0..THREADS)
            .map(|first| scope.spawn(move || client(address, model, rows, first).map_err(|error| error.to_string())))
            .collect();
        let asked = clients.into_iter().map(|client| client.join().map_err(|_| "a client panicked".to_string())?);
        let result = asked.sum::<Result<usize, String>>().map_err(Into::into).and_then(|asked| {
            let (code, text) = ask(address, "POST", &json!([rows.row(0).to_vec()]).to_string())?;
            println!("{code}  {}…", text.chars().take(60).collect::<String>());
            mistakes(address)?;
            println!("\n{asked} rows were asked for by {THREADS} clients, and answered as the model itself answers");
            Ok(())
        });
        if arguments.has("--stay") && result.is_ok() {
            println!("serving until it is stopped");
            return result;
        }
        (0..THREADS).for_each(|_| server.unblock());
        result
    })
}

fn main() -> ExitCode {
    let stay = [("--stay", "goes on serving")];
    support::main_with_flags("One network behind HTTP, asked from several threads.", &stay, run)
}
