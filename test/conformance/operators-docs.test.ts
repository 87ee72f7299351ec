import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, readdir, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, suiteSetup, suiteTeardown, test } from "mocha";
import { blocksOf, type CommandBlock, pages, typedLines } from "../kits/docs-pages.ts";
import { PROGRAM } from "./causeway-process.ts";
import { networkNamespaces, skipWithout } from "./machine.ts";
import { TestNetwork } from "./network.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const BLOCK_MS = 60_000;
/** Of the repository, what a reader who stands in a clone has; nothing that a demo there would have left. */
const LEFT_OUT = [".causeway", ".git"];
/** For as long a reader looks at what goes on until it is stopped. */
const LOOK_SECONDS = 3;

/** Readers call it so, once it is linked. */
const PRELUDE = `
set -euo pipefail
causeway() { "${process.execPath}" "${PROGRAM}" "$@"; }
npx() { [ "$1" = causeway ] || { echo "npx $1 is not for this suite" >&2; return 1; }; shift; causeway "$@"; }
watched() { timeout -s INT ${LOOK_SECONDS} "${process.execPath}" "${PROGRAM}" "$@" || [ $? -eq 124 ]; }
`;

/** What goes on until Ctrl-C gets it. */
const script = (text: string): string => PRELUDE + text.replace(/^(?:npx )?causeway (?=watch )/gm, "watched ");

let readers = 0;

/** A machine of its own, as the ports of the demo are fixed: its readers know them. */
class Reader implements AsyncDisposable {
  readonly #network = new TestNetwork(1, `cwd${process.pid}-${++readers}`);
  readonly clone: string;
  #demo: ChildProcess | undefined;

  constructor(clone: string) {
    this.clone = clone;
  }

  /** Stands in a clone of the repository, which has our very files and none of what ran there. */
  static async create(): Promise<Reader> {
    const clone = await mkdtemp(join(tmpdir(), "causeway-reader-"));
    const names = (await readdir(root)).filter((name) => !LEFT_OUT.includes(name));
    await Promise.all(names.map((name) => symlink(join(root, name), join(clone, name))));
    return new Reader(clone);
  }

  /** Until the demo has told everything. */
  async startDemo(): Promise<void> {
    const demo = this.#spawn([process.execPath, PROGRAM, "demo"]);
    this.#demo = demo;
    let out = "";
    await new Promise<void>((resolve, reject) => {
      for (const stream of [demo.stdout!, demo.stderr!])
        stream.on("data", (bytes: Buffer) => {
          out += bytes.toString();
          if (out.includes("Ctrl-C ends it.")) resolve();
        });
      demo.once("exit", () => reject(new Error(`the demo ended: ${out}`)));
    });
  }

  /** What a block prints. @throws Error with it, if one of its lines fails. */
  async run(text: string): Promise<string> {
    const shell = this.#spawn(["timeout", String(BLOCK_MS / 1000), "bash", "-c", script(text)]);
    let out = "";
    for (const stream of [shell.stdout!, shell.stderr!])
      stream.on("data", (bytes: Buffer) => (out += bytes.toString()));
    const code = await new Promise((resolve) => shell.once("close", resolve));
    if (code !== 0) throw new Error(`exit code ${String(code)}\n${out.slice(-4000)}`);
    return out;
  }

  #spawn(words: readonly string[]): ChildProcess {
    return this.#network.hosts[0]!.spawn("env", ["-C", this.clone, ...words], { HOME: this.clone, KUBECONFIG: "" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const demo = this.#demo;
    if (demo !== undefined && demo.exitCode === null) {
      const ended = new Promise((resolve) => demo.once("exit", resolve));
      demo.kill("SIGINT");
      await ended;
    }
    this.#network[Symbol.dispose]();
    await rm(this.clone, { recursive: true, force: true });
  }
}

/** By page, what runs so. */
function runBlocks(which: "alone" | "beside the demo"): ReadonlyMap<string, readonly CommandBlock[]> {
  const found = pages().map(
    (page) =>
      [page, blocksOf(page).filter(({ mark }) => mark !== undefined && "run" in mark && mark.run === which)] as const,
  );
  return new Map(found.filter(([, blocks]) => blocks.length > 0));
}

suite("commands on pages", () => {
  let reader: Reader;
  suiteSetup(async function () {
    this.timeout(120_000);
    skipWithout(this, "commands on pages", networkNamespaces());
    reader = await Reader.create();
    await reader.startDemo();
  });
  suiteTeardown(() => reader?.[Symbol.asyncDispose]());

  for (const [page, blocks] of runBlocks("beside the demo"))
    test(`${page} says what works beside the demo`, async () => {
      for (const block of blocks)
        await reader
          .run(typedLines(block))
          .catch((thrown: Error) => assert.fail(`${page}:${block.line}: ${thrown.message}`));
    });

  for (const [page, blocks] of runBlocks("alone"))
    test(`${page} says what works in a folder of its own, in its order`, async () => {
      await using alone = await Reader.create();
      for (const block of blocks)
        await alone
          .run(typedLines(block))
          .catch((thrown: Error) => assert.fail(`${page}:${block.line}: ${thrown.message}`));
    });
});
