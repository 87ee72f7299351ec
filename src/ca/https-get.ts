import { get, type RequestOptions } from "node:https";
import type { Clock } from "../host.ts";

/** Gets what is at an https URL. @throws if it cannot be had, saying why. */
export type HttpsGet = (url: string) => Promise<string>;

/** What else there is to say of TLS, and of the addresses that names may lead to. */
export type HttpsOptions = Pick<
  RequestOptions,
  "ca" | "lookup" | "checkServerIdentity" | "allowPartialTrustChain" | "signal"
>;

/** Key sets have 1 to 20 kB, and a bundle a few for each of its roots. */
const BYTES_MAX = 256 * 1024;
const ANSWER_MS = 5_000;

/**
 * Gets text from servers that the operator has named, and from nowhere that these send us to: no redirect is followed. All
 * of it must be here within 5 seconds, and be no more than 256 KiB. ⇄
 * @param options as `ca`: what verifies the servers instead of the public authorities that Node.js knows.
 */
export function httpsGet(clock: Clock, options: HttpsOptions = {}): HttpsGet {
  return (url) =>
    new Promise((resolve, reject) => {
      const headers = { accept: "application/json", "accept-encoding": "identity", "user-agent": "causeway" };
      const request = get(url, { ...options, headers, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        if (response.statusCode !== 200) request.destroy(new Error(refusalOf(response.statusCode)));
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > BYTES_MAX) request.destroy(new Error(`it answers with over ${BYTES_MAX} bytes`));
          else chunks.push(chunk);
        });
        response.on("error", end);
        response.on("end", () => {
          timer[Symbol.dispose]();
          resolve(Buffer.concat(chunks).toString("utf8"));
        });
      });
      const end = (error: Error): void => {
        timer[Symbol.dispose]();
        reject(error);
      };
      const late = new Error(`it has not answered within ${ANSWER_MS / 1000} s`);
      const timer = clock.after(ANSWER_MS, () => request.destroy(late));
      request.on("error", end);
    });
}

function refusalOf(status = 0): string {
  if (status >= 300 && status < 400) return `it answers with status ${status}, and redirects are not followed`;
  return `it answers with status ${status}`;
}
