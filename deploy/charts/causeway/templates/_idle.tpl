{{/* Values of istiod's chart that do nothing here, of those that are given. */}}
{{- define "causeway.idle" -}}
{{- $reasons := dict
  "base" "CRDs of Istio are those of its own base chart"
  "cni" "the CNI agent has its own chart"
  "compatibilityVersion" "there is one version of every behaviour"
  "defaultRevision" "no webhook has a default"
  "experimental" "nothing experimental is built in"
  "gatewayClasses" "defaults of gateways are variables: GATEWAY_REQUESTS, GATEWAY_LIMITS, GATEWAY_REPLICAS"
  "istiodRemote" "every cluster has its own control plane"
  "keepaliveMaxServerConnectionAge" "connections are not ended by age"
  "license" "none is needed"
  "ownerName" "there is no operator"
  "platform" "nothing depends on it"
  "sidecarInjectorWebhook" "nothing is injected"
  "sidecarInjectorWebhookAnnotations" "nothing is injected"
  "taint" "taints are not removed"
  "telemetry" "proxies have their own defaults"
  "traceSampling" "that is of sidecars"
  "variant" "there is one image"
-}}
{{- $global := dict
  "certSigners" "no other authority signs"
  "configValidation" "objects get statuses; nothing is refused at admission"
  "defaultResources" "resources has those of the control plane"
  "istiod" "analysis is a command: causeway analyze"
  "meshID" "nothing depends on it"
  "mountMtlsCerts" "that is of sidecars"
  "nativeNftables" "that is of the CNI agent"
  "omitSidecarInjectorConfigMap" "nothing is injected"
  "operatorManageWebhooks" "there are no webhooks"
  "platform" "nothing depends on it"
  "proxy_init" "nothing is injected"
  "sts" "there is no token exchange"
  "tracer" "that is of sidecars"
  "variant" "there is one image"
  "waypoint" "defaults of gateways are variables: GATEWAY_REQUESTS, GATEWAY_LIMITS, GATEWAY_REPLICAS"
-}}
{{- range $key, $why := $reasons }}
{{- if get $.v $key }}
- {{ printf "%s: %s" $key $why | quote }}
{{- end }}
{{- end }}
{{- range $key, $why := $global }}
{{- if get $.v.global $key }}
- {{ printf "global.%s: %s" $key $why | quote }}
{{- end }}
{{- end }}
{{- range $key, $_ := omit .v.global.proxy "clusterDomain" }}
- {{ printf "global.proxy.%s: that is of sidecars" $key | quote }}
{{- end }}
{{- end -}}
