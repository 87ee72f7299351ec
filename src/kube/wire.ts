import type { Headers } from "./proof.ts";

export interface WireRequest {
  readonly method: string;
  /** As it goes to the server. */
  readonly path: string;
  /** In lower case. */
  readonly headers: Headers;
  readonly body: Buffer | undefined;
}

/** What an answer turns into; throwing ends the exchange. */
export interface AnswerSink {
  onHead(status: number, headers: AnswerHeaders): void;
  onData(chunk: Buffer): void;
  /** All of it is here. */
  onEnd(): void;
}

export type AnswerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Who hears of one exchange; after `onEnd` or `onFail`, nothing more. */
export interface ExchangeHandler extends AnswerSink {
  onFail(error: Error): void;
}

/** A way to one server over connections that are kept. */
export interface Wire {
  /** `h2` or `http/1.1`. */
  readonly protocol: string;
  /** False once new requests must go elsewhere; what is under way may still end well. */
  readonly usable: boolean;
  /** True once nothing of it is left. */
  readonly gone: boolean;
  /** Disposing it gives the exchange up, without a further call of the handler. */
  send(request: WireRequest, handler: ExchangeHandler): Disposable;
  /** Takes no new requests, and closes once none is under way. */
  retire(): void;
  /** Cuts all; resolves when the sockets are gone. */
  close(error: Error): Promise<void>;
}

/**
 * Sends a request, and resolves when its answer is complete. Rejects with what broke it, with what `sink` threw, or with
 * the reason of `signal`.
 */
export function exchange(wire: Wire, request: WireRequest, sink: AnswerSink, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let done = false;
    let sent: Disposable | undefined;
    const settle = (then: () => void): void => {
      if (done) return;
      done = true;
      signal.removeEventListener("abort", onAbort);
      then();
    };
    const giveUp = (thrown: unknown): void =>
      settle(() => {
        sent?.[Symbol.dispose]();
        reject(thrown as Error);
      });
    const onAbort = (): void => giveUp(signal.reason);
    const guarded =
      <Arguments extends readonly unknown[]>(task: (...values: Arguments) => void) =>
      (...values: Arguments): void => {
        if (done) return;
        try {
          task(...values);
        } catch (thrown) {
          giveUp(thrown);
        }
      };
    if (signal.aborted) return giveUp(signal.reason);
    signal.addEventListener("abort", onAbort);
    sent = wire.send(request, {
      onHead: guarded((status, headers) => sink.onHead(status, headers)),
      onData: guarded((chunk) => sink.onData(chunk)),
      onEnd: guarded(() => {
        sink.onEnd();
        settle(resolve);
      }),
      onFail: giveUp,
    });
  });
}
