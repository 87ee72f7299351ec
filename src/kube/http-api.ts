import type { Clock, Host } from "../host.ts";
import { VERSION } from "../version.ts";
import { WatchAnswer, WholeAnswer } from "./answers.ts";
import { ApiError, type ApiRequest, type KubeApi, type WatchHandler } from "./api.ts";
import type { ClusterConnection } from "./connection.ts";
import { openCredentials } from "./credentials.ts";
import { type Asked, failed, toApiError } from "./failures.ts";
import { KUBE_LIMITS, type KubeLimits } from "./limits.ts";
import type { Credentials } from "./proof.ts";
import { ServerLink } from "./server-link.ts";
import { type AnswerSink, exchange, type WireRequest } from "./wire.ts";

type Sink = AnswerSink & { readonly status: number };

/** A call or a watch under way. */
interface Running {
  readonly asked: Asked;
  readonly signal: AbortSignal;
  end(error: ApiError): void;
  /** When it ends by itself, unless disposed. */
  readonly deadline: Disposable;
}

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
  readonly #running = new Set<Running>();
  #aheadMs: number | undefined;
  #closed = false;

  /** @param credentials those of the connection's user, if they are open already. */
  constructor(
    host: Host,
    connection: ClusterConnection,
    limits: Partial<KubeLimits> = {},
    credentials: Credentials = openCredentials(host.clock, connection.user),
  ) {
    this.server = connection.server;
    this.#clock = host.clock;
    this.#limits = { ...KUBE_LIMITS, ...limits };
    this.#credentials = credentials;
    this.#prefix = new URL(connection.server).pathname.replace(/\/+$/, "");
    const log = host.log.scope("kube");
    this.#link = new ServerLink(host.clock, connection, this.#limits, (protocol) =>
      log.debug("connected to an API server", { server: connection.server, protocol }),
    );
  }

  get aheadMs(): number | undefined {
    return this.#aheadMs;
  }

  async call(request: ApiRequest, signal?: AbortSignal): Promise<unknown> {
    const asked = this.#asked(request.method, request.path);
    const running = this.#begin(asked, request.deadlineMs);
    const stop = (): void => running.end(failed(asked, "unavailable", "it was called off"));
    signal?.addEventListener("abort", stop);
    if (signal?.aborted === true) stop();
    try {
      const answer = await this.#ask(request, () => new WholeAnswer(asked, this.#limits), running.signal);
      this.#noteDate(answer.date);
      return request.reads === "text" ? answer.text() : answer.value();
    } catch (thrown) {
      throw toApiError(asked, thrown);
    } finally {
      signal?.removeEventListener("abort", stop);
      this.#done(running);
    }
  }

  watch(path: string, handler: WatchHandler): Disposable {
    const asked = this.#asked("GET", path);
    const running = this.#begin(asked);
    let disposed = false;
    const live: WatchHandler = {
      onOpen() {
        running.deadline[Symbol.dispose]();
        if (!disposed) unguarded(() => handler.onOpen());
      },
      onEvent: (event) => void (!disposed && unguarded(() => handler.onEvent(event))),
      onEnd: (error) => void (!disposed && handler.onEnd(error)),
    };
    void this.#watch(asked, live, running.signal).finally(() => this.#done(running));
    const dispose = (): void => {
      disposed = true;
      running.end(failed(asked, "unavailable", "it is not needed any more"));
    };
    return { [Symbol.dispose]: dispose };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const running of this.#running) running.end(this.#closedError(running.asked));
    await this.#link.close(new Error("the connection was closed here"));
  }

  #asked(method: ApiRequest["method"], path: string): Asked {
    return { method, path, server: this.server };
  }

  #closedError(asked: Asked): ApiError {
    return failed(asked, "unavailable", "the connection was closed here");
  }

  #begin(asked: Asked, delayMs = this.#limits.callMs): Running {
    const controller = new AbortController();
    const end = (error: ApiError): void => controller.abort(error);
    const late = `there was no complete answer in ${delayMs / 1000} s`;
    const deadline = this.#clock.after(delayMs, () => end(failed(asked, "timeout", late)));
    const running = { asked, signal: controller.signal, end, deadline };
    this.#running.add(running);
    if (this.#closed) end(this.#closedError(asked));
    return running;
  }

  #done(running: Running): void {
    running.deadline[Symbol.dispose]();
    this.#running.delete(running);
  }

  /** It names the second that had begun. */
  #noteDate(date: number): void {
    if (!Number.isNaN(date)) this.#aheadMs = date + 500 - this.#clock.now();
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
    { method, path, body, contentType = "application/json", reads }: ApiRequest,
    proof: WireRequest["headers"],
  ): WireRequest {
    return {
      method,
      path: `${this.#prefix}${path}`,
      headers: {
        ...proof,
        accept: reads === "text" ? "text/plain, */*" : "application/json",
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
