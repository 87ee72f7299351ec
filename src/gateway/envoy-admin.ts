import { request } from "node:http";
import { MeshError, messageOf } from "../errors.ts";

/** On loopback it answers within milliseconds, unless it is stuck. */
const ANSWER_MS = 2_000;
/** A list of 10,000 listeners is 1 MB. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export interface AdminAnswer {
  readonly status: number;
  readonly text: string;
}

/** Envoy's admin interface, on loopback. */
export interface EnvoyAdmin {
  /** As `127.0.0.1:15000`. */
  readonly address: string;
  /** @throws MeshError `unavailable` if nobody answers. */
  get(path: string): Promise<AdminAnswer>;
  /** @throws as `get`. */
  post(path: string): Promise<AdminAnswer>;
}

/** ⇄ */
export function envoyAdmin(port: number): EnvoyAdmin {
  return {
    address: `127.0.0.1:${port}`,
    get: (path) => ask(port, "GET", path),
    post: (path) => ask(port, "POST", path),
  };
}

function ask(port: number, method: string, path: string): Promise<AdminAnswer> {
  return new Promise((resolve, reject) => {
    const fail = (thrown: unknown): void => {
      const why = messageOf(thrown);
      reject(new MeshError("unavailable", `Envoy does not answer on 127.0.0.1:${port}: ${why}`, {}, { cause: thrown }));
    };
    const asked = request({ host: "127.0.0.1", port, method, path, timeout: ANSWER_MS, agent: false }, (answer) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX) asked.destroy(new Error(`its answer is longer than ${ANSWER_BYTES_MAX} bytes`));
        chunks.push(chunk);
      });
      answer.once("error", fail);
      answer.once("end", () =>
        resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }),
      );
    });
    asked.once("timeout", () => asked.destroy(new Error(`it said nothing for ${ANSWER_MS} ms`)));
    asked.once("error", fail);
    asked.end();
  });
}

/** Of `/stats`: names and whole numbers. */
export function statsOf(text: string): ReadonlyMap<string, number> {
  const stats = new Map<string, number>();
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(": ");
    if (at > 0 && /^\d+$/.test(line.slice(at + 2))) stats.set(line.slice(0, at), Number(line.slice(at + 2)));
  }
  return stats;
}
