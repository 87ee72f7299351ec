import { ApiError, type ApiRequest, type KubeApi, type WatchHandler } from "../../src/kube/api.ts";
import type { FakeApiServer } from "./fake-api-server.ts";
import { apiError, noAnswer } from "./fake-api-requests.ts";
import { parseRoute } from "./fake-api-route.ts";
import { copyOf } from "./fake-api-store.ts";
import { FakeWatch } from "./fake-api-watch.ts";

/** One client of a fake API server. */
export class FakeConnection implements KubeApi {
  /** Its credentials are good no more: 401 for what it asks; watches that are open go on. */
  revoked = false;
  readonly server: string;
  readonly #endings = new Set<() => void>();
  #closed = false;

  constructor(
    readonly to: FakeApiServer,
    readonly user: string,
  ) {
    this.server = to.url;
  }

  call(request: ApiRequest, signal?: AbortSignal): Promise<unknown> {
    const { faults, clock } = this.to;
    this.to.requests.push({ atMs: clock.elapsedMs(), verb: request.method, path: request.path });
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        if (!this.#endings.delete(abort)) return;
        timer[Symbol.dispose]();
        signal?.removeEventListener("abort", abort);
        act();
      };
      const abort = (): void => settle(() => reject(noAnswer(`the request to ${this.server} was ended`)));
      this.#endings.add(abort);
      const deadlineMs = request.deadlineMs ?? 30_000;
      const slow = this.#unanswered(request.path) || faults.latencyMs > deadlineMs;
      const timer = clock.after(slow ? deadlineMs : faults.latencyMs, () =>
        settle(() => {
          if (slow) return reject(new ApiError("timeout", `${this.server} did not answer in ${deadlineMs} ms`, 0, ""));
          try {
            this.#admit();
            resolve(copyOf(this.to.respond(request.body === undefined ? request : copyOf(request), this.user)));
          } catch (error) {
            reject(error);
          }
        }),
      );
      if (signal?.aborted || this.#closed) abort();
      else signal?.addEventListener("abort", abort);
    });
  }

  watch(path: string, handler: WatchHandler): Disposable {
    const { to } = this;
    to.requests.push({ atMs: to.clock.elapsedMs(), verb: "WATCH", path });
    let disposed = false;
    let watch: FakeWatch | undefined;
    let opening: Disposable | undefined;
    const dispose = (): void => {
      disposed = true;
      opening?.[Symbol.dispose]();
      watch?.dispose();
      this.#endings.delete(end);
    };
    const fail = (error: ApiError): void => {
      if (disposed) return;
      dispose();
      handler.onEnd(error);
    };
    const end = (): void => fail(noAnswer(`the watch of ${this.server} was closed`));
    this.#endings.add(end);
    if (this.#unanswered(path)) return { [Symbol.dispose]: dispose };
    opening = to.clock.after(this.#closed ? 0 : to.faults.latencyMs, () => {
      if (disposed) return;
      try {
        watch = this.#open(path, handler, () => this.#endings.delete(end));
      } catch (error) {
        fail(error as ApiError);
      }
      watch?.start();
    });
    return { [Symbol.dispose]: dispose };
  }

  #unanswered(path: string): boolean {
    const { silent, stuck } = this.to.faults;
    return silent || (stuck && path !== "/version");
  }

  /** @throws ApiError */
  #open(path: string, handler: WatchHandler, onGone: () => void): FakeWatch {
    const { to } = this;
    this.#admit();
    to.failByChance();
    const route = parseRoute(path);
    const type = to.served(route);
    to.authorize(route!, "watch", this.user);
    const settings = {
      latencyMs: () => to.faults.latencyMs,
      bookmarkEveryMs: () => to.bookmarkEveryMs,
      watchList: () => to.watchList,
    };
    const watch = new FakeWatch(type, route!, handler, to.clock, to.store, settings, () => {
      to.watches.delete(watch);
      onGone();
    });
    to.watches.add(watch);
    return watch;
  }

  /** @throws ApiError */
  #admit(): void {
    if (this.#closed) throw noAnswer(`the connection to ${this.server} is closed`);
    if (this.to.faults.down) throw noAnswer(`connect ECONNREFUSED ${this.server}`);
    if (this.revoked) throw apiError(401, "Unauthorized", "Unauthorized");
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of [...this.#endings]) end();
  }
}
