import { MeshError, type ErrorCode } from "../errors.ts";

/** A kind of object as an API server serves it. The core's group is empty. */
export interface ResourceType {
  readonly group: string;
  /** Versions that we read, best first. */
  readonly versions: readonly string[];
  readonly kind: string;
  /** As `endpointslices`. */
  readonly plural: string;
  readonly namespaced: boolean;
  /** On one page of a list; 500 unless each is much to read. */
  readonly pageObjects?: number;
}

export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query, as `/api/v1/pods?limit=500`. */
  readonly path: string;
  /** Sent as JSON, which is YAML too. */
  readonly body?: unknown;
  /** `application/json` by default. */
  readonly contentType?:
    | "application/json"
    | "application/apply-patch+yaml"
    | "application/merge-patch+json"
    | "application/json-patch+json";
  /** JSON, parsed, by default; a pod's log is text. */
  readonly reads?: "json" | "text";
  /** From the first byte sent to the last one read; 30,000 by default. */
  readonly deadlineMs?: number;
}

/** One line of a watch; nothing in it was checked. */
export interface WatchEvent {
  /** ADDED, MODIFIED, DELETED, BOOKMARK or ERROR. */
  readonly type: string;
  readonly object: unknown;
}

export interface WatchHandler {
  /** The server has accepted the watch. */
  onOpen(): void;
  onEvent(event: WatchEvent): void;
  /** Once, and nothing after it; undefined if the server ended the watch in good order. */
  onEnd(error: ApiError | undefined): void;
}

/** One API server, with our credentials. All that it says is unchecked. */
export interface KubeApi {
  /** As `https://10.96.0.1:443`, for messages. */
  readonly server: string;
  /** How far its clock was ahead of ours in its last answer, in milliseconds, right to a second; undefined before one. */
  readonly aheadMs?: number | undefined;
  /** @returns the body, parsed, or as it is if the request reads text. @throws ApiError; also if `signal` ends it, then with code `unavailable`. */
  call(request: ApiRequest, signal?: AbortSignal): Promise<unknown>;
  /** Streams `path`, which asks for a watch. Disposing it ends it without a further call of the handler. */
  watch(path: string, handler: WatchHandler): Disposable;
  /** Ends every call and watch, and closes every connection; idempotent. */
  close(): Promise<void>;
}

/** What an API server answered, or why it did not. */
export class ApiError extends MeshError {
  constructor(
    code: ErrorCode,
    message: string,
    /** The HTTP status; 0 if there was no answer. */
    readonly status: number,
    /** Of the Status object, as `Expired`; empty if there is none. */
    readonly reason: string,
    /** How long the server asks us to wait; undefined if it does not say. */
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(code, message, { status, reason }, options);
  }
}

/** Where a type, or one object of it, is served; without a namespace a namespaced type is that of all namespaces. */
export function pathOf(type: ResourceType, version: string, namespace?: string, name?: string): string {
  const root = type.group === "" ? `/api/${version}` : `/apis/${type.group}/${version}`;
  const within = type.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : "";
  const which = name === undefined ? "" : `/${encodeURIComponent(name)}`;
  return `${root}${within}/${type.plural}${which}`;
}
