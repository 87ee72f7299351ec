import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { PROGRAM } from "./causeway-process.ts";

/** `causeway ca …` as people call it, in one folder. */
export class CaCommandLine {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  run(...words: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
    return new Promise((resolve) =>
      execFile(process.execPath, [PROGRAM, "ca", ...words], { cwd: this.#folder }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), said: out + err }),
      ),
    );
  }

  /** Fails the test unless it does what it is told. @returns what it printed. */
  async did(...words: readonly string[]): Promise<string> {
    const { code, said } = await this.run(...words);
    assert.equal(code, 0, said);
    return said;
  }
}

/** The words after `causeway ca` of the step that `rotate --plan` says is next. */
export function nextStep(plan: string): readonly string[] {
  const [, command] = /^\d\. \S+: next\n.*\n {3}causeway ca (.*)$/m.exec(plan) ?? [];
  assert.ok(command, `no step is next:\n${plan}`);
  return command.split(" ");
}
