import type { Clock } from "../host.ts";
import { ApiError, type KubeApi, pathOf, type ResourceType } from "./api.ts";
import { isFields } from "./fields.ts";
import { outcomeOf } from "./outcome.ts";
import { CUSTOM_RESOURCE_DEFINITIONS } from "./resource-types.ts";

/** In which version a kind is served, best first; without one, whether it is certain that there is none. */
export type Found =
  | { readonly version: string }
  /** `certain` if its CRD does not exist; otherwise only that it is not served now, as in a server that starts. */
  | { readonly version: undefined; readonly certain: boolean };

const CRDS = pathOf(CUSTOM_RESOURCE_DEFINITIONS, "v1");
const ANSWER_MS = 10_000;

/** Which kinds an API server has. Answers are shared, so that many kinds that are absent cost one request. */
export class Discovery {
  readonly #clock: Clock;
  readonly #api: KubeApi;
  readonly #answers = new Map<string, { readonly atMs: number; readonly answer: Promise<unknown> }>();

  constructor(clock: Clock, api: KubeApi) {
    this.#clock = clock;
    this.#api = api;
  }

  /**
   * A server that starts may say for a while that kinds are not there whose CRDs it has not loaded yet, so the CRDs
   * themselves have the last word. Of the core's kinds none is ever absent: what says so is no API server.
   * @param ageMs how old an answer may be that others got.
   * @param confirm whether to ask for the CRD of a kind that is not served.
   * @throws ApiError if it does not say clearly.
   */
  async find(type: ResourceType, ageMs: number, confirm: boolean): Promise<Found> {
    if (type.group === "") throw this.#unclear(`serves no ${type.plural}; is it an API server?`);
    const groups = await this.#ask("/apis", ageMs);
    if (!isFields(groups) || groups["kind"] !== "APIGroupList" || !hasEntries(groups["groups"]))
      throw this.#unclear("has no list of API groups at /apis");
    const offered = versionsOf(groups["groups"].find(({ name }) => name === type.group));
    for (const version of type.versions)
      if (offered.has(version) && (await this.#serves(type, version, ageMs))) return { version };
    return { version: undefined, certain: confirm && (await this.#hasNoCrd(type)) };
  }

  async #serves({ group, plural }: ResourceType, version: string, ageMs: number): Promise<boolean> {
    const path = `/apis/${group}/${version}`;
    const list = await this.#ask(path, ageMs);
    if (!isFields(list) || list["kind"] !== "APIResourceList" || !Array.isArray(list["resources"]))
      throw this.#unclear(`has no list of resources at ${path}`);
    return (list["resources"] as unknown[]).some((entry) => isFields(entry) && entry["name"] === plural);
  }

  /** @returns false if we may not know. @throws ApiError if there is one, which the server has yet to load. */
  async #hasNoCrd({ plural, group, versions }: ResourceType): Promise<boolean> {
    const path = `${CRDS}?fieldSelector=${encodeURIComponent(`metadata.name=${plural}.${group}`)}`;
    const outcome = await outcomeOf(this.#api.call({ method: "GET", path, deadlineMs: ANSWER_MS }));
    if ("error" in outcome) {
      if (outcome.error.status === 403) return false;
      throw outcome.error.status === 404 ? this.#unclear("does not serve its CRDs yet") : outcome.error;
    }
    const { value } = outcome;
    if (!isFields(value) || !String(value["kind"]).endsWith("List") || !isEntries(value["items"]))
      throw this.#unclear(`has no list of CRDs at ${CRDS}`);
    const specs = value["items"].map(({ spec }) => (isFields(spec) ? spec : {}));
    const has = specs.some((spec) =>
      isEntries(spec["versions"])
        ? spec["versions"].some(({ name, served }) => served !== false && versions.includes(String(name)))
        : true,
    );
    if (has) throw this.#unclear(`has the CRD ${plural}.${group}, but does not serve it yet`);
    return true;
  }

  #ask(path: string, ageMs: number): Promise<unknown> {
    const nowMs = this.#clock.elapsedMs();
    const last = this.#answers.get(path);
    if (last !== undefined && nowMs - last.atMs <= ageMs) return last.answer;
    const answer = this.#api.call({ method: "GET", path, deadlineMs: ANSWER_MS });
    this.#answers.set(path, { atMs: nowMs, answer });
    answer.catch(() => this.#answers.delete(path));
    return answer;
  }

  /** It did answer, so it is no reason to doubt the connection. */
  #unclear(what: string): ApiError {
    return new ApiError("unavailable", `${this.#api.server} ${what}`, 404, "Unclear");
  }
}

function versionsOf(group: unknown): ReadonlySet<unknown> {
  const versions = isFields(group) ? group["versions"] : undefined;
  return new Set(isEntries(versions) ? versions.map(({ version }) => version) : []);
}

type Entries = readonly Readonly<Record<string, unknown>>[];

const isEntries = (value: unknown): value is Entries => Array.isArray(value) && value.every(isFields);
const hasEntries = (value: unknown): value is Entries => isEntries(value) && value.length > 0;
