import type { Printer, Terminal } from "./command.ts";
import type { Clock } from "./host.ts";

/** What takes longer needs a word, or people think that it hangs. */
const QUIET_MS = 1000;
const ERASE_LINE = "\r\u001b[2K";

/** One line on a terminal that says what is being done, and leaves nothing behind. */
export class Progress implements Disposable {
  readonly #printer: Pick<Printer, "err">;
  readonly #timer: Disposable | undefined;
  readonly #columns: number;
  #doing = "";
  #shown = false;
  #due = false;

  constructor(
    clock: Pick<Clock, "after">,
    printer: Pick<Printer, "err">,
    { progressColumns }: Pick<Terminal, "progressColumns">,
  ) {
    this.#printer = printer;
    this.#columns = progressColumns ?? 0;
    this.#timer = progressColumns === undefined ? undefined : clock.after(QUIET_MS, () => this.#start());
  }

  /** What was said last, as `reading context east`; empty if nothing was. */
  get doing(): string {
    return this.#doing;
  }

  at(doing: string): void {
    this.#doing = doing;
    if (this.#due) this.#show();
  }

  /** What is printed next starts on a line of its own. */
  erase(): void {
    if (!this.#shown) return;
    this.#shown = false;
    this.#printer.err(ERASE_LINE);
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#due = false;
    this.erase();
  }

  #start(): void {
    this.#due = true;
    this.#show();
  }

  #show(): void {
    if (this.#doing === "") return;
    this.#shown = true;
    // A line that wraps could not be taken back.
    const line = `${this.#doing} …`;
    this.#printer.err(ERASE_LINE + (line.length < this.#columns ? line : `${line.slice(0, this.#columns - 2)}…`));
  }
}
