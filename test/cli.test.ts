import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { test } from "mocha";
import { type Cli, type Interruption, runCli } from "../src/cli.ts";
import { type Command, type CommandCall, type ExitCode, NO_TERMINAL, UsageError } from "../src/command.ts";
import { parseDurationMs } from "../src/duration.ts";
import { HalfDoneError, MeshError } from "../src/errors.ts";
import { VirtualClock } from "./sim/world.ts";

interface Ran {
  readonly code: Promise<ExitCode>;
  readonly clock: VirtualClock;
  readonly out: string[];
  readonly err: string[];
  /** Presses Ctrl-C, unless it was something else. */
  readonly interrupt: (by?: Interruption) => void;
}

const command = (run: Command["run"], more: Partial<Command> = {}): Command => ({
  name: "workloads",
  summary: "lists workloads",
  args: ["[name]"],
  flags: [
    { flags: "-o, --output <format>", description: "format", choices: ["table", "json"], default: "table" },
    { flags: "--manifests <dir>", description: "folder", repeated: true },
  ],
  run,
  ...more,
});

function cli(words: readonly string[], commands: Cli["commands"]): Ran {
  const [out, err]: [string[], string[]] = [[], []];
  const clock = new VirtualClock();
  const interruption = new AbortController();
  const code = runCli(
    {
      commands,
      version: "1.2.3",
      clock,
      printer: { out: (text) => void out.push(text), err: (text) => void err.push(text) },
      terminal: NO_TERMINAL,
      environment: { HOME: "/home/me" },
      interrupted: interruption.signal,
    },
    words,
  );
  return { code, clock, out, err, interrupt: (by) => interruption.abort(by) };
}

/** Lets what is already settled run on. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};
const never = new Promise<ExitCode>(() => {});
const untilAborted = ({ signal }: CommandCall): Promise<ExitCode> =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));

test("a command gets its arguments, options and environment, and its exit code is the program's", async () => {
  const calls: CommandCall[] = [];
  const found = command(async (call) => (calls.push(call), 1));
  const words = ["workloads", "cart", "-o", "json", "--manifests", "a", "--manifests", "b"];
  assert.equal(await cli(words, [found]).code, 1);
  assert.deepEqual(calls[0]!.args, ["cart"]);
  assert.deepEqual(calls[0]!.options, { output: "json", manifests: ["a", "b"] });
  assert.equal(calls[0]!.environment["HOME"], "/home/me");
  await cli(["workloads"], [found]).code;
  assert.deepEqual(calls[1]!.options, { output: "table" });
});

test("commands of a group have a first word in common, and errors call them by both", async () => {
  const member = command(async () => Promise.reject(new MeshError("timeout", "late")), { name: "make" });
  const stuck = command(() => never, { name: "wait" });
  const group = { name: "ca", summary: "authorities", commands: [member, stuck] };
  const all = [group, command(async () => 0)];
  assert.equal(await cli(["workloads"], all).code, 0);
  assert.equal(await cli(["ca", "make"], all).code, 2);
  const ran = cli(["ca", "wait", "--timeout", "1s"], all);
  await ran.clock.pass(2000);
  assert.equal(await ran.code, 2);
  assert.match(ran.err.join(""), /ca wait did not finish within 1s/);
  for (const words of [["ca"], ["ca", "mkae"], ["make"]]) assert.equal(await cli(words, all).code, 64, words.join(" "));
  const pointed = "\\n\\(causeway ca --help lists its commands\\)\\n$";
  assert.match(
    cli(["ca", "mkae"], all).err.join(""),
    new RegExp(`unknown command 'mkae'\\n\\(Did you mean make\\?\\)${pointed}`),
  );
  const moved = cli(["make", "--help"], all);
  assert.equal(await moved.code, 64);
  assert.match(
    moved.err.join(""),
    /unknown command 'make'\n\(Did you mean ca make\?\)\n\(causeway --help lists commands/,
  );
});

test("a wrong call exits with 64 and says what is near", async () => {
  const commands = [command(async () => 0)];
  const wrong: readonly [readonly string[], RegExp][] = [
    [["workload"], /^causeway: unknown command 'workload'\n\(Did you mean workloads\?\)/],
    [["workloads", "--outptu", "json"], /^causeway: unknown option '--outptu'\n\(Did you mean --output\?\)/],
    [
      ["workloads", "-o", "xml"],
      /^causeway: option '-o, --output <format>' argument 'xml' is invalid. Allowed choices/,
    ],
    [["workloads", "a", "b"], /^causeway: too many arguments/],
    [["workloads", "--timeout", "soon"], /^causeway: --timeout is "soon": give a duration above 0, as 500ms/],
    [["workloads", "--timeout", "0s"], /--timeout is "0s"/],
    [[], /Usage: causeway/],
  ];
  for (const [words, message] of wrong) {
    const ran = cli(words, commands);
    assert.equal(await ran.code, 64, words.join(" "));
    assert.match(ran.err.join(""), message);
    const command = words[0] === "workloads";
    if (command) assert.match(ran.err.join(""), /\n\(causeway workloads --help lists its flags\)\n$/);
    assert.deepEqual(ran.out, []);
  }
});

test("a wrong value that only the command can see exits with 64 too", async () => {
  const ran = cli(["workloads"], [command(() => Promise.reject(new UsageError("--admin-port is 70000: too large")))]);
  assert.equal(await ran.code, 64);
  assert.equal(
    ran.err.join(""),
    "causeway: --admin-port is 70000: too large\n(causeway workloads --help lists its flags)\n",
  );
});

test("an expected failure is one sentence and exit code 2; an unexpected one also says where", async () => {
  const expected = cli(["workloads"], [command(() => Promise.reject(new MeshError("unavailable", "no answer")))]);
  assert.equal(await expected.code, 2);
  assert.deepEqual(expected.err, ["causeway: no answer\n"]);
  const defect = cli(["workloads"], [command(() => Promise.reject(new TypeError("x is undefined")))]);
  assert.equal(await defect.code, 2);
  assert.match(defect.err.join(""), /^causeway: a defect in causeway: x is undefined\n +at /);
});

test("--help and --version answer on standard output with exit code 0", async () => {
  const help = cli(["--help"], [command(async () => 0)]);
  assert.equal(await help.code, 0);
  assert.match(help.out.join(""), /workloads.*lists workloads/);
  const one = cli(["workloads", "--help"], [command(async () => 0)]);
  assert.equal(await one.code, 0);
  assert.match(one.out.join(""), /--timeout <duration>/);
  const version = cli(["--version"], []);
  assert.equal(await version.code, 0);
  assert.deepEqual(version.out, ["1.2.3\n"]);
});

test("a command that waits is stopped after 30 s, or when --timeout says so, before or after the command", async () => {
  for (const [words, limit, ms] of [
    [["workloads"], "30s", 30_000],
    [["workloads", "--timeout", "2s"], "2s", 2000],
    [["--timeout", "1m30s", "workloads"], "1m30s", 90_000],
  ] as const) {
    const ran = cli(words, [command(untilAborted)]);
    await settled();
    ran.clock.advance(ms - 1);
    await settled();
    assert.deepEqual(ran.err, []);
    ran.clock.advance(1);
    assert.equal(await ran.code, 2);
    assert.match(ran.err.join(""), new RegExp(`^causeway: workloads did not finish within ${limit}; `));
  }
});

test("a time limit holds even if the command ignores it, or answers as if nothing had happened", async () => {
  for (const run of [
    () => never,
    ({ signal }: CommandCall) => untilAborted({ signal } as CommandCall).catch((): ExitCode => 0),
  ]) {
    const ran = cli(["workloads", "--timeout", "1s"], [command(run)]);
    await settled();
    ran.clock.advance(1000);
    await settled();
    ran.clock.advance(500);
    assert.equal(await ran.code, 2);
    assert.match(ran.err.join(""), /did not finish within 1s/);
  }
});

test("a command that waits for something says what it still lacked when its time was up", async () => {
  const waits = ({ signal }: CommandCall): Promise<ExitCode> =>
    new Promise((_, reject) =>
      signal.addEventListener("abort", () =>
        reject(new MeshError("timeout", "x", { waitedFor: "Gateway a has no address" })),
      ),
    );
  const ran = cli(["workloads", "--timeout", "2s"], [command(waits)]);
  await ran.clock.pass(2_000);
  assert.equal(await ran.code, 2);
  assert.match(ran.err.join(""), /did not finish within 2s: Gateway a has no address; give it longer with --timeout/);
});

test("an endless command has no limit but the one that is asked for, and reaching that one is a good end", async () => {
  const stopsWell = command((call) => untilAborted(call).catch((): ExitCode => 0), { endless: true });
  const endless = cli(["workloads"], [stopsWell]);
  await settled();
  endless.clock.advance(24 * 3_600_000);
  await settled();
  assert.equal(await Promise.race([endless.code, Promise.resolve("runs")]), "runs");
  endless.interrupt();
  assert.equal(await endless.code, 0);
  const limited = cli(["workloads", "--timeout", "5s"], [stopsWell]);
  await settled();
  limited.clock.advance(5000);
  assert.equal(await limited.code, 0);
  assert.deepEqual(limited.err, []);
});

test("an endless command that was told to stop has 5 s for its clients, and then ends all the same", async () => {
  const slow = cli(["workloads"], [command(() => never, { endless: true })]);
  await settled();
  slow.interrupt();
  await settled();
  slow.clock.advance(4999);
  await settled();
  assert.equal(await Promise.race([slow.code, Promise.resolve("closes")]), "closes");
  slow.clock.advance(1);
  assert.equal(await slow.code, 130);
  assert.match(slow.err.join(""), /workloads was stopped, and had not closed all that it has open 5 s later/);
});

test("Ctrl-C stops a command, with half a second to close what it has open, and it says what it was at", async () => {
  const waits = ({ progress }: CommandCall): Promise<ExitCode> => {
    progress("reading cluster east");
    progress("waiting for Gateway istio-eastwest/west");
    return never;
  };
  const answersInPart = (call: CommandCall): Promise<ExitCode> => untilAborted(call).catch((): ExitCode => 0);
  for (const [run, doing] of [
    [untilAborted, ""],
    [answersInPart, ""],
    [waits, " while waiting for Gateway istio-eastwest/west"],
  ] as const) {
    const ran = cli(["workloads"], [command(run)]);
    await settled();
    ran.interrupt();
    await settled();
    ran.clock.advance(500);
    assert.equal(await ran.code, 130);
    assert.deepEqual(ran.err, [`causeway: workloads was stopped${doing}; it is unfinished\n`]);
  }
});

test("what was done half-way is said whatever ended the work", async () => {
  const why = new HalfDoneError("unavailable", "Applied before: east. Not applied: west");
  const half = command((call) => untilAborted(call).catch(() => Promise.reject(why)));
  const late = cli(["workloads", "--timeout", "2s"], [half]);
  await settled();
  late.clock.advance(2000);
  assert.equal(await late.code, 2);
  assert.match(late.err.join(""), /did not finish within 2s; .*\. Applied before: east\. Not applied: west\n$/);
  const stopped = cli(["workloads"], [half]);
  await settled();
  stopped.interrupt();
  assert.equal(await stopped.code, 130);
  assert.match(stopped.err.join(""), /was stopped; it is unfinished\. Applied before: east\. Not applied: west\n$/);
});

test("SIGTERM and a pipe that nobody reads any more have exit codes of their own, as shells have them", async () => {
  for (const [by, code, words] of [
    ["SIGTERM", 143, 1],
    ["SIGPIPE", 141, 0],
  ] as const) {
    const ran = cli(["workloads"], [command(untilAborted)]);
    await settled();
    ran.interrupt(by);
    assert.equal(await ran.code, code);
    assert.equal(ran.err.length, words, by);
  }
});

test("a time limit says what the command was at", async () => {
  const asks = command((call) => (call.progress("asking cluster east"), untilAborted(call)));
  const ran = cli(["workloads", "--timeout", "2s"], [asks]);
  await settled();
  ran.clock.advance(2000);
  assert.equal(await ran.code, 2);
  assert.match(ran.err.join(""), /did not finish within 2s while asking cluster east; give it longer with --timeout/);
});

test("durations are read in the units that people write", () => {
  assert.deepEqual(["500ms", "30s", "1m30s", "2h", "0.5s"].map(parseDurationMs), [500, 30_000, 90_000, 7_200_000, 500]);
  for (const text of ["", "30", "0s", "-1s", "1d", "s", "1s ", "1e3s", "9".repeat(400) + "s"])
    assert.equal(parseDurationMs(text), undefined, text);
});

test("the command can be executed after every build", () => {
  accessSync(join(import.meta.dirname, "..", "src", "main.js"), constants.X_OK);
});

test("what takes over a second says so on a terminal, and leaves nothing behind", async () => {
  const [out, err]: [string[], string[]] = [[], []];
  const clock = new VirtualClock();
  const asks = command(async ({ progress, printer }) => {
    progress("asking cluster east");
    await new Promise<void>((resolve) => clock.after(5000, resolve));
    progress("asking cluster west");
    printer.out("done\n");
    return 0;
  });
  const printer = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const terminal = { columns: 20, colour: false, progressColumns: 20 };
  const interrupted = new AbortController().signal;
  const code = runCli({ commands: [asks], version: "1", clock, printer, terminal, environment: {}, interrupted }, [
    "workloads",
  ]);
  await settled();
  clock.advance(999);
  assert.deepEqual(err, []);
  clock.advance(1);
  assert.equal(err.join(""), "\r\u001b[2Kasking cluster eas…");
  clock.advance(4000);
  assert.equal(await code, 0);
  assert.equal(err.at(-1), "\r\u001b[2K");
  assert.deepEqual(out, ["done\n"]);
});

test("a quick command, or one whose errors go to a file, says nothing of what it does", async () => {
  const ran = cli(
    ["workloads"],
    [
      command(async ({ progress }) => {
        progress("asking cluster east");
        return 0;
      }),
    ],
  );
  assert.equal(await ran.code, 0);
  ran.clock.advance(5000);
  assert.deepEqual(ran.err, []);
});

test("help is there for a command in a group, whichever way it is asked for, and never for what does not exist", async () => {
  const make = command(async () => 0, { name: "make", summary: "makes one", aliases: ["new"] });
  const all = [{ name: "ca", summary: "authorities", commands: [make] }, command(async () => 0)];
  for (const words of [
    ["help", "ca", "make"],
    ["ca", "help", "make"],
    ["ca", "make", "--help"],
    ["ca", "new", "-h"],
  ]) {
    const ran = cli(words, all);
    assert.equal(await ran.code, 0);
    assert.match(ran.out.join(""), /^Usage: causeway ca make/, words.join(" "));
  }
  for (const words of [
    ["worklods", "--help"],
    ["ca", "mkae", "--help"],
    ["help", "ca", "mkae"],
  ]) {
    const ran = cli(words, all);
    assert.equal(await ran.code, 64, words.join(" "));
    assert.match(ran.err.join(""), /unknown command '.*'\n\(Did you mean .*\?\)/);
    assert.deepEqual(ran.out, []);
  }
});

test("help has a command's examples", async () => {
  const shown = command(async () => 0, { examples: ["causeway workloads cart"] });
  const ran = cli(["workloads", "--help"], [shown]);
  assert.equal(await ran.code, 0);
  assert.match(ran.out.join(""), /Examples:\n {2}causeway workloads cart/);
});
