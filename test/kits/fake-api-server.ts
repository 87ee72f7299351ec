/**
 * An API server in memory, on a virtual clock, the same for the same seed. How to use it:
 *
 *     const host = new TestHost();
 *     const server = new FakeApiServer(host.clock);          // serves every kind of src/kube/resource-types.ts
 *     server.put(pod("shop", "cart"));                        // as another client would; also server.remove(PODS, …)
 *     const api = server.connect();                           // a KubeApi
 *     const list = api.call({ method: "GET", path: "/api/v1/pods" });
 *     await host.clock.pass(10);                              // answers take server.faults.latencyMs, 1 by default
 *     await list;
 *
 * Nothing happens unless time passes, and `clock.pass` (not `advance`) lets promises settle meanwhile. Faults are fields
 * of `server.faults` and the methods below them. `server.requests` has what was asked, and when.
 */
import type { ApiRequest, KubeApi, ResourceType } from "../../src/kube/api.ts";
import type { Clock } from "../../src/host.ts";
import type { KubeObject, ObjectReference } from "../../src/kube/object.ts";
import * as resourceTypes from "../../src/kube/resource-types.ts";
import { seededRandom } from "../sim/world.ts";
import { FakeConnection } from "./fake-api-connection.ts";
import { crdList, discovery, isCustom, parseRoute, type Route } from "./fake-api-route.ts";
import { apiError, FakeRequests, noAnswer } from "./fake-api-requests.ts";
import { copyOf, FakeStore, typeKey } from "./fake-api-store.ts";
import type { FakeWatch } from "./fake-api-watch.ts";

/** What is wrong with it now. */
export interface Faults {
  /** Nothing listens: whoever asks is refused. Watches that are open stay so: see `cutWatches`. */
  down: boolean;
  /** Requests get no answer, and new watches never open. Those that are open stay so: see `blackHoleWatches`. */
  silent: boolean;
  /** As `silent`, but it still says its version: an API server without its etcd. */
  stuck: boolean;
  /** From a request to its answer, and from a change to its event. */
  latencyMs: number;
  /** The share of requests that are answered 429 (with `retryAfterMs`) or 500. */
  errorRate: number;
  retryAfterMs: number | undefined;
  /** Pages of this number, of any list, are answered 500. The first is 1. */
  failPage: number | undefined;
  /** CRDs are not loaded yet, as in a server that starts: custom resources are not found, nor in discovery. */
  loading: boolean;
  /** Changes what a request is answered, to make bad answers. */
  tamper: ((answer: unknown, request: ApiRequest) => unknown) | undefined;
  /** Requests that the caller may not make. */
  forbidden: ((attempt: Attempt) => boolean) | undefined;
}

/** What a caller tries. */
export interface Attempt {
  readonly user: string;
  /** get, list, watch, create, update, patch or delete. */
  readonly verb: string;
  /** As `pods` or `pods/status`. */
  readonly resource: string;
  readonly namespace: string | undefined;
}

export interface FakeApiOptions {
  readonly seed?: number;
  /** As `https://10.0.0.1:6443`. */
  readonly server?: string;
}

export class FakeApiServer {
  readonly store = new FakeStore();
  readonly faults: Faults = {
    down: false,
    silent: false,
    stuck: false,
    latencyMs: 1,
    errorRate: 0,
    retryAfterMs: undefined,
    failPage: undefined,
    loading: false,
    tamper: undefined,
    forbidden: undefined,
  };
  /** How it takes `sendInitialEvents`: old servers ignore it, others refuse it. */
  watchList: "served" | "refused" | "ignored" = "served";
  bookmarkEveryMs = 60_000;
  /** Answers a TokenReview's `spec` with its `status`. */
  reviewToken: (spec: unknown) => unknown = () => ({ authenticated: false, error: "unknown token" });
  /** Answers what no rule of the fake covers, as other subresources; undefined leaves it to the fake. */
  answer: (request: ApiRequest, user: string) => unknown = () => undefined;
  /** Every request and watch, in order. */
  readonly requests: { readonly atMs: number; readonly verb: string; readonly path: string }[] = [];
  readonly watches = new Set<FakeWatch>();
  readonly url: string;
  readonly #random;
  readonly #types = new Map<string, ResourceType>();
  readonly #objects: FakeRequests;

  constructor(
    readonly clock: Clock,
    { seed = 1, server = "https://fake:6443" }: FakeApiOptions = {},
  ) {
    this.url = server;
    this.#random = seededRandom(seed);
    this.#objects = new FakeRequests(this.store, () => clock.now());
    for (const type of Object.values(resourceTypes)) this.install(type);
  }

  /** A client with credentials of its own. */
  connect(user = "system:serviceaccount:istio-system:causeway"): FakeConnection & KubeApi {
    return new FakeConnection(this, user);
  }

  /** Serves a kind, in all versions that `type` has; a CRD that is installed. */
  install(type: ResourceType): void {
    this.#types.set(typeKey(type), type);
  }

  /** A CRD that is removed, with its objects: watches are told of the objects, and end. */
  uninstall(type: ResourceType): void {
    for (const { metadata } of this.store.list(type)) this.store.remove(type, metadata.namespace, metadata.name);
    this.#types.delete(typeKey(type));
    for (const watch of this.watches) if (typeKey(watch.type) === typeKey(type)) watch.end(undefined);
  }

  /** Creates or replaces an object, its status included, as some other client. */
  put(object: Partial<KubeObject> & Pick<KubeObject, "apiVersion" | "kind" | "metadata">): KubeObject {
    return copyOf(this.store.put(this.typeOf(object), object as KubeObject, this.clock.now()));
  }

  /** Deletes an object as some other client; nothing if there is none. */
  remove({ kind, apiVersion, metadata }: ObjectReference): void {
    this.store.remove(this.typeOf({ kind, apiVersion }), metadata.namespace, metadata.name);
  }

  get(type: ResourceType, namespace: string | undefined, name: string): KubeObject | undefined {
    const object = this.store.get(type, namespace, name);
    return object && copyOf(object);
  }

  list(type: ResourceType): readonly KubeObject[] {
    return copyOf(this.store.list(type));
  }

  /** Every watch that there is gets 410, and so does what resumes or goes on listing from a version before now. */
  expireAll(): void {
    this.store.compact();
    for (const watch of [...this.watches]) watch.expire();
  }

  /** Connections break, and both sides know. */
  cutWatches(): void {
    for (const watch of [...this.watches]) watch.end(noAnswer(`${this.url} closed the connection`));
  }

  /**
   * Connections lead nowhere from now on (new ones are good), and nobody is told. With `pingsAfterMs` the transport finds
   * out after that time, as pings do; without it somebody answers the pings.
   */
  blackHoleWatches(pingsAfterMs?: number): void {
    for (const watch of [...this.watches]) {
      watch.silence();
      if (pingsAfterMs !== undefined)
        this.clock.after(pingsAfterMs, () => watch.end(noAnswer(`${this.url} answers no pings`)));
    }
  }

  /** Sends every watch of a type something of one's own. */
  garble(type: ResourceType, event: { readonly type: string; readonly object: unknown }): void {
    for (const watch of this.watches) if (typeKey(watch.type) === typeKey(type)) watch.event(event);
  }

  /** For FakeConnection. @throws ApiError */
  respond(request: ApiRequest, user: string): unknown {
    const route = parseRoute(request.path);
    this.#maybeFail(route, request);
    const own = this.answer(request, user);
    const answer = own ?? this.#answer(request, route, user);
    return this.faults.tamper?.(answer, request) ?? answer;
  }

  #answer(request: ApiRequest, route: Route | undefined, user: string): unknown {
    const discovered = request.method === "GET" ? discovery(request.path, this.#servedTypes()) : undefined;
    if (discovered !== undefined) return discovered;
    if (route?.plural === "customresourcedefinitions" && request.method === "GET") {
      this.authorize(route, "list", user);
      return crdList(route, this.#types.values());
    }
    const type = this.served(route);
    const verb = {
      GET: route!.name === undefined ? "list" : "get",
      POST: "create",
      PUT: "update",
      PATCH: "patch",
      DELETE: "delete",
    };
    this.authorize(route!, verb[request.method], user);
    if (type.plural === "tokenreviews") {
      if (request.method !== "POST") throw apiError(405, "MethodNotAllowed", "token reviews can only be created");
      const { spec } = request.body as { readonly spec: unknown };
      return { kind: "TokenReview", apiVersion: "authentication.k8s.io/v1", spec, status: this.reviewToken(spec) };
    }
    return this.#objects.answer(type, route!, request);
  }

  /** @throws ApiError 404 */
  served(route: Route | undefined): ResourceType {
    const type = route && this.#types.get(typeKey({ ...route, versions: [], kind: "", namespaced: true }));
    if (
      !type ||
      (this.faults.loading && isCustom(type)) ||
      !type.versions.includes(route.version) ||
      ![undefined, "status"].includes(route.subresource)
    )
      throw apiError(404, "NotFound", "the server could not find the requested resource");
    return type;
  }

  #servedTypes(): readonly ResourceType[] {
    return [...this.#types.values()].filter((type) => !this.faults.loading || !isCustom(type));
  }

  /** @throws ApiError 403 */
  authorize({ plural, subresource, namespace, group }: Route, verb: string, user: string): void {
    const resource = subresource === undefined ? plural : `${plural}/${subresource}`;
    if (!this.faults.forbidden?.({ user, verb, resource, namespace })) return;
    const where = namespace === undefined ? "at the cluster scope" : `in the namespace "${namespace}"`;
    const what = `resource "${resource}" in API group "${group}"`;
    throw apiError(403, "Forbidden", `${plural} is forbidden: User "${user}" cannot ${verb} ${what} ${where}`);
  }

  /** @throws ApiError by chance, or because it is the page that fails. */
  #maybeFail(route: Route | undefined, { path }: ApiRequest): void {
    this.failByChance();
    const token = route?.query.get("continue");
    if (token === null || token === undefined) this.#pages.set(withoutToken(path), 1);
    else this.#pages.set(withoutToken(path), (this.#pages.get(withoutToken(path)) ?? 0) + 1);
    if (route?.query.has("limit") && this.#pages.get(withoutToken(path)) === this.faults.failPage)
      throw apiError(500, "InternalError", "etcdserver: leader changed");
  }
  readonly #pages = new Map<string, number>();

  /** @throws ApiError 429 or 500, as often as `faults.errorRate` says. */
  failByChance(): void {
    if (this.faults.errorRate === 0 || !this.#random.chance(this.faults.errorRate)) return;
    if (this.#random.chance(0.5)) throw apiError(500, "InternalError", "etcdserver: request timed out");
    throw apiError(429, "TooManyRequests", "the server has received too many requests", this.faults.retryAfterMs);
  }

  typeOf({ kind, apiVersion }: { readonly kind: string; readonly apiVersion: string }): ResourceType {
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    const type = [...this.#types.values()].find((other) => other.kind === kind && other.group === group);
    if (!type) throw new Error(`the fake API server serves no ${kind} of ${apiVersion}; install it first`);
    return type;
  }
}

const withoutToken = (path: string): string => path.replace(/&?continue=[^&]*/, "");
