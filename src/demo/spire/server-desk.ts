import { status } from "@grpc/grpc-js";
import type { Host } from "../../host.ts";
import { CallError } from "./call-error.ts";
import { type Registered, rolesOf, type SpireCaller } from "./caller.ts";
import type { Faults } from "./faults.ts";
import { nameOf, type ServerMethod } from "./server-call.ts";

/** What happened at the server, for tests. */
export interface CallCounts {
  /** By the method's name, as `MintX509SVID`. */
  readonly started: ReadonlyMap<string, number>;
  readonly inFlight: number;
  readonly inFlightMax: number;
  /** How many the client gave up before they were answered. */
  readonly cancelled: number;
}

/** Lets a caller do what its roles allow, as late and as badly as the faults want. */
export class ServerDesk {
  readonly #host: Host;
  readonly #registered: () => Registered;
  readonly #faults: () => Faults;
  readonly #started = new Map<string, number>();
  #inFlight = 0;
  #inFlightMax = 0;
  #cancelled = 0;

  constructor(host: Host, registered: () => Registered, faults: () => Faults) {
    this.#host = host;
    this.#registered = registered;
    this.#faults = faults;
  }

  get counts(): CallCounts {
    return {
      started: new Map(this.#started),
      inFlight: this.#inFlight,
      inFlightMax: this.#inFlightMax,
      cancelled: this.#cancelled,
    };
  }

  /** @throws CallError */
  async answer(
    method: ServerMethod,
    request: Uint8Array,
    caller: SpireCaller,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    this.#enter(nameOf(method.path));
    const gone = (): void => void (this.#cancelled += 1);
    signal.addEventListener("abort", gone);
    try {
      await this.#misbehave(nameOf(method.path), signal);
      this.#require(method, caller);
      return await method.call(request, caller);
    } finally {
      signal.removeEventListener("abort", gone);
      this.#inFlight -= 1;
    }
  }

  #enter(name: string): void {
    this.#started.set(name, (this.#started.get(name) ?? 0) + 1);
    this.#inFlight += 1;
    this.#inFlightMax = Math.max(this.#inFlightMax, this.#inFlight);
  }

  async #misbehave(name: string, signal: AbortSignal): Promise<void> {
    const { delayMs = 0, silent = [], refuse = {} } = this.#faults();
    if (silent.includes(name)) await gaveUp(signal);
    if (delayMs > 0) await new Promise<void>((resolve) => void this.#host.clock.after(delayMs, resolve));
    const refusal = refuse[name];
    if (refusal !== undefined) throw new CallError(refusal.code, refusal.message);
  }

  #require({ path, roles }: ServerMethod, caller: SpireCaller): void {
    const held = rolesOf(caller, this.#registered());
    if (roles.some((role) => held.has(role))) return;
    throw new CallError(status.PERMISSION_DENIED, `authorization denied for method ${path}`);
  }
}

/** @throws CallError when the client has. */
async function gaveUp(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  throw new CallError(status.CANCELLED, "the client gave up");
}
