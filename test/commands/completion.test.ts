import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { type Context, suite, suiteSetup, test } from "mocha";
import { runCli } from "../../src/cli.ts";
import { NO_TERMINAL } from "../../src/command.ts";
import { calledCommands } from "../../src/commands/called.ts";
import { systemClock } from "../../src/system-host.ts";
import { folderOf } from "../kits/folder.ts";

async function completion(shell: string): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const words = ["completion", shell];
  const printer = { out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const cli = { version: "1", clock: systemClock, printer, terminal: NO_TERMINAL, environment: {} };
  const interrupted = new AbortController().signal;
  const code = await runCli({ ...cli, commands: await calledCommands(words, 1), interrupted }, words);
  return { code, out: out.join(""), err: err.join("") };
}

const has = (shell: string): boolean => {
  try {
    execFileSync(shell, ["-c", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

/** What bash offers after these words; a kubectl of the test says which contexts there are. */
async function offered(...words: string[]): Promise<readonly string[]> {
  await using folder = await folderOf({});
  const script = folder.at("causeway.bash");
  const typed = words.map((word) => `'${word}'`).join(" ");
  writeFileSync(
    script,
    `${(await completion("bash")).out}
kubectl() { printf 'east\\nwest\\n'; }
COMP_WORDS=(causeway ${typed})
COMP_CWORD=$((\${#COMP_WORDS[@]}-1))
_causeway
printf '%s\\n' "\${COMPREPLY[@]}"\n`,
  );
  const printed = execFileSync("bash", ["--norc", script], { encoding: "utf8" });
  return printed.split("\n").filter((line) => line !== "");
}

suite("completion", () => {
  suiteSetup(function () {
    if (!has("bash")) this.skip();
  });

  test("bash completes commands, those of a group, and aliases' flags", async () => {
    assert.deepEqual(await offered("multic"), ["multicluster"]);
    assert.ok((await offered("ca", "")).includes("rotate"));
    assert.deepEqual(await offered("ps", "--verb"), ["--verbosity"]);
    assert.deepEqual(await offered("check", "trust", "--tim"), ["--timeout"]);
  });

  test("bash completes a flag's value: its choices, files, folders, and nothing where anything may stand", async () => {
    assert.deepEqual(await offered("proxy-status", "-o", ""), ["table", "json", "yaml"]);
    assert.deepEqual(await offered("proxy-status", "--output", "=", "j"), ["json"]);
    assert.deepEqual(await offered("ca", "status", "--dir", "/et"), ["/etc"]);
    assert.deepEqual(await offered("trust", "token", "--cluster", ""), []);
  });

  test("bash completes contexts as kubectl knows them", async () => {
    assert.deepEqual(await offered("create-remote-secret", "--context", "w"), ["west"]);
  });
});

for (const shell of ["bash", "zsh", "fish"])
  test(`${shell} takes the script, which names every command`, async function (this: Context) {
    const { code, out } = await completion(shell);
    assert.equal(code, 0);
    for (const command of await calledCommands([], 1)) assert.match(out, new RegExp(`\\b${command.name}\\b`));
    if (!has(shell)) return this.skip();
    await using folder = await folderOf({ script: out });
    execFileSync(shell, ["-n", folder.at("script")]);
  });

test("a shell that is none is a wrong call", async () => {
  const { code, err } = await completion("tcsh");
  assert.equal(code, 64);
  assert.match(err, /there is no completion for "tcsh": give bash, zsh or fish/);
});
