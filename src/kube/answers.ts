import { ApiError, type WatchHandler } from "./api.ts";
import { messageOf } from "../errors.ts";
import { printable } from "../printable.ts";
import { type Asked, redirected, refused, type StatusObject, unacceptable } from "./failures.ts";
import type { KubeLimits } from "./limits.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { AnswerHeaders, AnswerSink } from "./wire.ts";

/** What a failure has to say fits here; more is not read. */
const REFUSAL_BYTES_MAX = 256 * 1024;

/** An answer that is taken as a whole, and only if it is as long as we allow. */
export class WholeAnswer implements AnswerSink {
  readonly #asked: Asked;
  readonly #bytesMax: number;
  #head: { readonly status: number; readonly headers: AnswerHeaders } | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(asked: Asked, limits: KubeLimits) {
    this.#asked = asked;
    this.#bytesMax = limits.answerBytesMax;
  }

  /** 0 before there is an answer. */
  get status(): number {
    return this.#head?.status ?? 0;
  }

  /** When the server says that it answered, to the second; NaN if it does not. */
  get date(): number {
    return Date.parse(textOf(this.#head?.headers["date"]));
  }

  get #isSuccess(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  onHead(status: number, headers: AnswerHeaders): void {
    this.#head = { status, headers };
    if (status >= 300 && status < 400) throw redirected(this.#asked, status, textOf(headers["location"]));
    const encoding = textOf(headers["content-encoding"]);
    if (encoding !== "" && encoding !== "identity")
      throw unacceptable(
        this.#asked,
        status,
        "unsupported",
        `the answer is encoded as ${printable(encoding, 40)}, which was not asked for`,
      );
    const announced = Number(textOf(headers["content-length"]));
    if (this.#isSuccess && announced > this.#bytesMax) throw this.#tooLong(`announces ${announced} bytes`);
  }

  onData(chunk: Buffer): void {
    if (!this.#isSuccess && this.#bytes > REFUSAL_BYTES_MAX) return;
    this.#bytes += chunk.length;
    if (this.#isSuccess && this.#bytes > this.#bytesMax) throw this.#tooLong("is longer");
    this.#chunks.push(chunk);
  }

  onEnd(): void {}

  #tooLong(how: string): ApiError {
    this.#chunks = [];
    const why = `the answer ${how}, and at most ${this.#bytesMax} bytes are taken; ask for smaller pages`;
    return unacceptable(this.#asked, this.status, "exhausted", why);
  }

  /** The body, once it is complete. @throws ApiError unless it is a success. */
  text(): string {
    const text = this.#text();
    if (!this.#isSuccess) throw this.refusal(text);
    return text;
  }

  /** The body, parsed, once it is complete; undefined if it is empty. @throws ApiError unless it is a success. */
  value(): unknown {
    const text = this.text();
    if (text === "") return undefined;
    try {
      return JSON.parse(text) as unknown;
    } catch (thrown) {
      const type = printable(textOf(this.#head?.headers["content-type"]) || "nothing", 80);
      const why = `the answer is not JSON (${printable(messageOf(thrown), 120)}) but says it is ${type}; is that an API server?`;
      throw unacceptable(this.#asked, this.status, "unavailable", why);
    }
  }

  refusal(text = this.#text()): ApiError {
    const retryAfter = Number(textOf(this.#head?.headers["retry-after"]) || NaN);
    return refused(this.#asked, this.status, statusObjectIn(text), retryAfter >= 0 ? retryAfter * 1000 : undefined);
  }

  #text(): string {
    const text = Buffer.concat(this.#chunks).toString("utf8");
    this.#chunks = [];
    return text;
  }
}

/** An answer whose lines are passed on as they come; what is no success is taken as a whole. */
export class WatchAnswer implements AnswerSink {
  readonly #asked: Asked;
  readonly #handler: WatchHandler;
  readonly #whole: WholeAnswer;
  readonly #lines: LineSplitter;

  constructor(asked: Asked, limits: KubeLimits, handler: WatchHandler) {
    this.#asked = asked;
    this.#handler = handler;
    this.#whole = new WholeAnswer(asked, limits);
    this.#lines = new LineSplitter(limits.lineBytesMax);
  }

  get status(): number {
    return this.#whole.status;
  }

  onHead(status: number, headers: AnswerHeaders): void {
    this.#whole.onHead(status, headers);
    if (status === 200) this.#handler.onOpen();
  }

  onData(chunk: Buffer): void {
    if (this.status !== 200) return this.#whole.onData(chunk);
    for (const line of this.#lines.push(chunk)) this.#onLine(line);
    if (this.#lines.isOver) throw this.#broken("exhausted", `an event is longer than ${this.#lines.bytesMax} bytes`);
  }

  onEnd(): void {
    if (this.status !== 200) return;
    if (this.#lines.hasRest) throw this.#broken("unavailable", "it ended in the middle of an event");
  }

  /** @throws ApiError unless the watch was accepted. */
  check(): void {
    if (this.status !== 200) throw this.#whole.refusal();
  }

  #onLine(line: Buffer): void {
    const event = parsed(line);
    if (!isEvent(event))
      throw this.#broken("unavailable", `a line is no event: ${printable(line.toString("utf8", 0, 200), 120)}`);
    this.#handler.onEvent(event);
  }

  #broken(code: "exhausted" | "unavailable", why: string): ApiError {
    return unacceptable(this.#asked, this.status, code, why);
  }
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString("utf8")) as unknown;
  } catch {
    return undefined;
  }
}

function isEvent(value: unknown): value is { readonly type: string; readonly object: unknown } {
  return (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    typeof value.type === "string" &&
    "object" in value
  );
}

const textOf = (header: string | readonly string[] | undefined): string =>
  typeof header === "string" ? header : (header?.[0] ?? "");

/** What does not look like a Status is told by its first line. */
function statusObjectIn(text: string): StatusObject {
  const said = parsed(Buffer.from(text));
  if (typeof said !== "object" || said === null || !("kind" in said) || said.kind !== "Status")
    return { reason: "", message: text.trim().split("\n", 1)[0]!, retryAfterMs: undefined };
  const fields = said as Readonly<Record<string, unknown>>;
  const string = (field: string): string => (typeof fields[field] === "string" ? fields[field] : "");
  const details = fields["details"];
  const seconds =
    typeof details === "object" && details !== null && "retryAfterSeconds" in details
      ? details.retryAfterSeconds
      : undefined;
  const retryAfterMs = typeof seconds === "number" && seconds > 0 ? seconds * 1000 : undefined;
  return { reason: string("reason"), message: string("message"), retryAfterMs };
}
