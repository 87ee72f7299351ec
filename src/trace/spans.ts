import type { EpochMs } from "../host.ts";

export type SpanFacts = Readonly<Record<string, string | number | boolean>>;

/** A part of a trace that has begun. */
export interface OpenSpan {
  /** As the W3C writes it. */
  readonly traceparent: string;
  note(event: string, atMs: EpochMs, facts: SpanFacts): void;
  end(atMs: EpochMs, facts?: SpanFacts): void;
}

/** Where parts of traces go. */
export interface Spans {
  /** @param parent a traceparent. @returns undefined for what is not to be followed. */
  begin(name: string, atMs: EpochMs, facts: SpanFacts, parent?: string): OpenSpan | undefined;
}
