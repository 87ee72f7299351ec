import { type Command, type CommandCall, type ExitCode, type Printer, UsageError } from "../command.ts";
import { MeshError } from "../errors.ts";
import type { Clock } from "../host.ts";
import { ContentDigest } from "../xds/content-digest.ts";
import { DeltaClient, type DeltaUpdate, type ReceivedResource } from "../xds/delta-client.ts";
import { followXds } from "../xds/follow.ts";
import { ADDRESS_TYPE, AUTHORIZATION_TYPE, type ClientNode, type TypeUrl } from "../xds/resource.ts";
import { toReadable } from "../xds/types/readable.ts";
import { targetFlags, targetOf, tokenSubject } from "./target.ts";

const TYPES: Readonly<Record<string, TypeUrl>> = {
  wds: ADDRESS_TYPE,
  wads: AUTHORIZATION_TYPE,
};

/** `causeway watch TYPE`: a client that prints what a ztunnel would receive, as it arrives. */
export function watchCommand(clock: Clock): Command {
  return {
    name: "watch",
    endless: true,
    summary: "print what a ztunnel would receive, as it arrives",
    args: ["<type>"],
    flags: [
      ...targetFlags,
      {
        flags: "-o, --output <format>",
        description: "text: a line for each change; json: an object for each",
        default: "text",
        choices: ["text", "json"],
      },
    ],
    run: (call) => watch(clock, call),
  };
}

async function watch(clock: Clock, call: CommandCall): Promise<ExitCode> {
  const typeUrl = TYPES[call.args[0] ?? ""];
  if (typeUrl === undefined)
    throw new UsageError(`there is no type "${call.args[0] ?? ""}"; watch one of ${Object.keys(TYPES).join(", ")}`);
  const target = await targetOf(call);
  const client = new DeltaClient(nodeOf(target.token), [typeUrl]);
  const view = new View(clock, client, typeUrl, call.printer, call.options["output"] === "json");
  await followXds({
    target,
    client,
    clock,
    signal: call.signal,
    onUpdate: (update) => view.show(update),
    onLost: (error, retryMs) => call.printer.err(`causeway: lost ${error.message}; again in ${retryMs} ms\n`),
  });
  return 0;
}

/** No ztunnel, so that nothing waits for policies; of the namespace that the token proves. */
export function nodeOf(token: string | undefined): ClientNode {
  const { namespace } = token === undefined ? { namespace: "default" } : tokenSubject(token);
  const metadata = new Map([
    ["NAMESPACE", namespace],
    ["INSTANCE_IPS", "127.0.0.1"],
  ]);
  return { id: `agent~127.0.0.1~causeway-watch.${namespace}~${namespace}.svc.cluster.local`, metadata };
}

class View {
  readonly #clock: Clock;
  readonly #client: DeltaClient;
  readonly #typeUrl: TypeUrl;
  readonly #printer: Printer;
  readonly #json: boolean;

  constructor(clock: Clock, client: DeltaClient, typeUrl: TypeUrl, printer: Printer, json: boolean) {
    this.#clock = clock;
    this.#client = client;
    this.#typeUrl = typeUrl;
    this.#printer = printer;
    this.#json = json;
  }

  show(update: DeltaUpdate): void {
    const time = new Date(this.#clock.now()).toISOString().slice(11, 23);
    const held = this.#client.held(this.#typeUrl);
    for (const resource of update.resources) {
      const change = held.has(resource.name) ? "changed" : "added";
      this.#line(time, change, resource.name, resource);
    }
    for (const name of update.removed) this.#line(time, "removed", name);
    const now = new Map(held);
    for (const { name, version } of update.resources) now.set(name, version);
    for (const name of update.removed) now.delete(name);
    this.#summary(time, update, now);
  }

  #line(time: string, change: string, name: string, resource?: ReceivedResource): void {
    const content = resource && toReadable(this.#typeUrl, resource.body);
    if (this.#json) this.#print({ time, change, name, version: resource?.version, resource: content });
    else
      this.#printer.out(`${time}  ${change.padEnd(7)}  ${name}${content === undefined ? "" : `  ${gist(content)}`}\n`);
  }

  #summary(time: string, { resources, removed }: DeltaUpdate, now: ReadonlyMap<string, string>): void {
    const digest = new ContentDigest();
    for (const [name, version] of now) digest.add(name, version);
    const facts = { received: resources.length, removed: removed.length, holds: now.size, digest: digest.toString() };
    if (this.#json) this.#print({ time, change: "synced", ...facts });
    else {
      const text = Object.entries(facts).map(([key, value]) => `${key} ${value}`);
      this.#printer.out(`${time}  synced   ${text.join("  ")}\n`);
    }
  }

  #print(value: unknown): void {
    this.#printer.out(`${JSON.stringify(value)}\n`);
  }
}

/** The fields that tell most at a glance. */
const GIST = ["addresses", "vips", "hostname", "node", "status", "scope", "action", "authorizationPolicies"];

function gist(content: unknown): string {
  if (content === null || typeof content !== "object") throw new MeshError("internal", "a resource without fields");
  const fields = Object.entries(content).filter(([key]) => GIST.includes(key));
  return fields.map(([key, value]) => `${key}=${textOf(value)}`).join(" ");
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(",");
  if (value === null || typeof value !== "object") return String(value);
  // A network address: the network is on the workload, too.
  return "address" in value ? textOf(value.address) : JSON.stringify(value);
}
