import type { Clock, Host } from "../host.ts";
import { VERSION } from "../version.ts";
import { WatchAnswer, WholeAnswer } from "./answers.ts";
import { ApiError, type ApiRequest, type KubeApi, type WatchHandler } from "./api.ts";
import type { ClusterConnection } from "./connection.ts";
import { openCredentials } from "./credentials.ts";
import { type Asked, toApiError } from "./failures.ts";
import { KUBE_LIMITS, type KubeLimits } from "./limits.ts";
import type { Credentials } from "./proof.ts";
import { ServerLink } from "./server-link.ts";
import { type AnswerSink, exchange, type WireRequest } from "./wire.ts";

type Sink = AnswerSink & { readonly status: number };

/**
 * An API server over the network. Everything goes over one HTTP/2 connection, or over a few that are kept where the
 * server has only HTTP/1.1; it is made when first needed, and again after it broke. Redirects are never followed.
 */
export class HttpKubeApi implements KubeApi {
  readonly server: string;
  readonly #clock: Clock;
  readonly #limits: KubeLimits;
  readonly #credentials: Credentials;
  readonly #link: ServerLink;
  /** As `/k8s/clusters/c-1`; mostly empty. */
  readonly #prefix: string;
  /** Calls and watches under way. */
  readonly #running = new Set<AbortController>();
  #closed = false;

  constructor(host: Host, connection: ClusterConnection, limits: Partial<KubeLimits> = {}) {
    this.server = connection.server;
    this.#clock = host.clock;
    this.#limits = { ...KUBE_LIMITS, ...limits };
    this.#credentials = openCredentials(host.clock, connection.user);
    this.#prefix = new URL(connection.server).pathname.replace(/\/+$/, "");
    const log = host.log.scope("kube");
    this.#link = new ServerLink(host.clock, connection, this.#limits, (protocol) =>
      log.debug("connected to an API server", { server: connection.server, protocol }),
    );
  }

  async call(request: ApiRequest, signal?: AbortSignal): Promise<unknown> {
    const asked = this.#asked(request.method, request.path);
    const running = this.#begin();
    const stop = (): void =>
      running.abort(new ApiError("unavailable", `${request.method} ${request.path} was called off`, 0, ""));
    const deadline = this.#deadline(running, asked, request.deadlineMs ?? this.#limits.callMs);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted === true) stop();
    try {
      const answer = await this.#ask(request, () => new WholeAnswer(asked, this.#limits), running.signal);
      return answer.value();
    } catch (thrown) {
      throw toApiError(asked, thrown);
    } finally {
      signal?.removeEventListener("abort", stop);
      deadline[Symbol.dispose]();
      this.#running.delete(running);
    }
  }

  watch(path: string, handler: WatchHandler): Disposable {
    const asked = this.#asked("GET", path);
    const running = this.#begin();
    const deadline = this.#deadline(running, asked, this.#limits.callMs);
    let disposed = false;
    const live: WatchHandler = {
      onOpen() {
        deadline[Symbol.dispose]();
        if (!disposed) unguarded(() => handler.onOpen());
      },
      onEvent: (event) => void (!disposed && unguarded(() => handler.onEvent(event))),
      onEnd: (error) => void (!disposed && handler.onEnd(error)),
    };
    void this.#watch(asked, live, running.signal).finally(() => {
      deadline[Symbol.dispose]();
      this.#running.delete(running);
    });
    const dispose = (): void => {
      disposed = true;
      running.abort(new ApiError("unavailable", "the watch is not needed any more", 0, ""));
    };
    return { [Symbol.dispose]: dispose };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const error = new ApiError("unavailable", `the connection to ${this.server} was closed here`, 0, "");
    for (const running of this.#running) running.abort(error);
    await this.#link.close(error);
  }

  #asked(method: ApiRequest["method"], path: string): Asked {
    return { method, path, server: this.server };
  }

  #begin(): AbortController {
    const running = new AbortController();
    if (this.#closed)
      running.abort(new ApiError("unavailable", `the connection to ${this.server} was closed here`, 0, ""));
    this.#running.add(running);
    return running;
  }

  #deadline(running: AbortController, asked: Asked, delayMs: number): Disposable {
    const why = `no complete answer within ${delayMs / 1000} s`;
    return this.#clock.after(delayMs, () =>
      running.abort(new ApiError("timeout", `${asked.method} ${asked.path} at ${asked.server}: ${why}`, 0, "")),
    );
  }

  async #watch(asked: Asked, handler: WatchHandler, signal: AbortSignal): Promise<void> {
    let end: ApiError | undefined;
    try {
      const answer = await this.#ask(asked, () => new WatchAnswer(asked, this.#limits, handler), signal);
      answer.check();
    } catch (thrown) {
      end = toApiError(asked, thrown);
    }
    handler.onEnd(end);
  }

  /** Asks again, once, if the credentials were renewed after the server had refused them. */
  async #ask<S extends Sink>(request: ApiRequest, toSink: () => S, signal: AbortSignal): Promise<S> {
    const sink = await this.#askOnce(request, toSink, signal);
    if (sink.status !== 401 || !(await unlessAborted(signal, this.#credentials.refresh()))) return sink;
    return this.#askOnce(request, toSink, signal);
  }

  /** Asks again, once, if a connection that was at rest broke under a question that changes nothing. */
  async #askOnce<S extends Sink>(request: ApiRequest, toSink: () => S, signal: AbortSignal): Promise<S> {
    for (let attempt = 0; ; attempt += 1) {
      const sink = toSink();
      const proof = await unlessAborted(signal, this.#credentials.current());
      const { wire, used } = await unlessAborted(signal, this.#link.wire(proof));
      try {
        await exchange(wire, this.#toWireRequest(request, proof.headers), sink, signal);
        return sink;
      } catch (thrown) {
        const mayRepeat = used && attempt === 0 && request.method === "GET" && sink.status === 0 && !signal.aborted;
        if (!mayRepeat || thrown instanceof ApiError) throw thrown;
      }
    }
  }

  #toWireRequest(
    { method, path, body, contentType = "application/json" }: ApiRequest,
    proof: WireRequest["headers"],
  ): WireRequest {
    return {
      method,
      path: `${this.#prefix}${path}`,
      headers: {
        ...proof,
        accept: "application/json",
        "user-agent": `causeway/${VERSION}`,
        ...(body !== undefined && { "content-type": contentType }),
      },
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
    };
  }
}

/** What a handler throws is its own mistake, not a failure of the connection: it ends the process. */
function unguarded(task: () => void): void {
  try {
    task();
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}

/** Waits for `promise`, which goes on by itself when `signal` ends the wait. */
function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
