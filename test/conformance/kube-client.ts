import { execFile } from "node:child_process";
import { Agent, request } from "node:https";
import { promisify } from "node:util";
import type { ApiRequest, ResourceType } from "../../src/kube/api.ts";
import { pathOf } from "../../src/kube/api.ts";
import type { KubeMetadata, KubeObject } from "../../src/kube/object.ts";
import type { AdminAccess } from "./kubeapi.ts";

/** An object before it is said of which kind it is. */
export interface Draft {
  readonly metadata: KubeMetadata;
  readonly [field: string]: unknown;
}

type Fields = Readonly<Record<string, unknown>>;

/** What an API server refused, in its words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const run = promisify(execFile);
const CALL_MS = 30_000;
const RETRY_MS = 200;
const TRIES_MAX = 50;

/**
 * An administrator of one API server, as the tests are. It shares nothing with Causeway's own client, so that a mistake in
 * that one cannot hide itself; connections are kept, so that thousands of writes are quick.
 */
export class KubeClient {
  readonly #access: AdminAccess;
  readonly #agent: Agent;

  constructor(
    access: AdminAccess,
    readonly kubeconfig: string,
  ) {
    this.#access = access;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 8, ca: access.ca });
  }

  create(type: ResourceType, object: Draft): Promise<KubeObject> {
    return this.call("POST", pathOf(type, type.versions[0]!, namespaceOf(object)), typed(type, object));
  }

  async get(type: ResourceType, name: string, namespace?: string): Promise<KubeObject> {
    return this.call("GET", pathOf(type, type.versions[0]!, namespace, name));
  }

  async list(type: ResourceType, namespace?: string): Promise<readonly KubeObject[]> {
    const { items } = await this.call<{ items: readonly KubeObject[] }>(
      "GET",
      pathOf(type, type.versions[0]!, namespace),
    );
    return items;
  }

  /** JSON merge patch (RFC 7396); of the status, if `subresource` says so. */
  merge(type: ResourceType, of: Draft, patch: Fields, subresource = ""): Promise<KubeObject> {
    const path = `${pathOf(type, type.versions[0]!, namespaceOf(of), of.metadata.name)}${subresource}`;
    return this.call("PATCH", path, patch, "application/merge-patch+json");
  }

  /** Creates it, or makes it what it says where it is there already; then its status, which creation drops. */
  async put(type: ResourceType, object: Draft): Promise<KubeObject> {
    const { status, ...rest } = object as Draft & { readonly status?: unknown };
    const path = pathOf(type, type.versions[0]!, namespaceOf(object), object.metadata.name);
    const query = "?fieldManager=stand-in&force=true";
    const put = await this.call<KubeObject>("PATCH", path + query, typed(type, rest), "application/apply-patch+yaml");
    return status === undefined ? put : this.merge(type, object, { status }, "/status");
  }

  /** At once, without grace. Absent objects are no error. */
  async delete(type: ResourceType, name: string, namespace?: string): Promise<void> {
    await this.call("DELETE", pathOf(type, type.versions[0]!, namespace, name), { gracePeriodSeconds: 0 }).catch(
      (thrown: unknown) => {
        if (!(thrown instanceof Refused && thrown.status === 404)) throw thrown;
      },
    );
  }

  /** @throws Refused for any answer from 400 upwards; a server that is still starting (429) is asked again. */
  async call<T = KubeObject>(
    method: ApiRequest["method"],
    path: string,
    body?: unknown,
    type: ApiRequest["contentType"] = "application/json",
  ): Promise<T> {
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#callOnce<T>(method, path, body, type);
      } catch (thrown) {
        if (!(thrown instanceof Refused && thrown.status === 429) || tries === TRIES_MAX) throw thrown;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  #callOnce<T>(method: string, path: string, body: unknown, type: string): Promise<T> {
    const { server, token } = this.#access;
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = {
      authorization: `Bearer ${token}`,
      accept: "application/json",
      ...(bytes && { "content-type": type, "content-length": bytes.byteLength }),
    };
    return new Promise((resolve, reject) => {
      const sent = request(`${server}${path}`, { method, headers, agent: this.#agent, timeout: CALL_MS }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("error", reject);
        answer.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const status = answer.statusCode ?? 0;
          if (status < 400) resolve(JSON.parse(text) as T);
          else reject(new Refused(status, `${method} ${path}: ${status} ${text.slice(0, 4000)}`));
        });
      });
      sent.on("timeout", () => sent.destroy(new Error(`${method} ${path}: no answer within ${CALL_MS} ms`)));
      sent.on("error", reject);
      sent.end(bytes);
    });
  }

  /** What `kubectl` prints. @throws if it ends badly, with what it complained of. */
  async kubectl(...args: readonly string[]): Promise<string> {
    const { stdout } = await run("kubectl", ["--kubeconfig", this.kubeconfig, ...args], { maxBuffer: 1 << 26 });
    return stdout;
  }

  close(): void {
    this.#agent.destroy();
  }
}

const typed = (type: ResourceType, object: Draft): Fields => ({
  apiVersion: type.group === "" ? type.versions[0] : `${type.group}/${type.versions[0]}`,
  kind: type.kind,
  ...object,
});

const namespaceOf = ({ metadata }: Draft): string | undefined => metadata.namespace;
