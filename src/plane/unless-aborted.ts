import { MeshError } from "../errors.ts";

/** What `promise` resolves to, unless `signal` comes first. @throws MeshError `unavailable` then, saying `what`. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal, what: string): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(new MeshError("unavailable", `${what}: we were told to stop`));
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
