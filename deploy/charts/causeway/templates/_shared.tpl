{{/* What the charts of the control plane and of the trust manager have in common: the latter has a link to this file. */}}

{{- define "causeway.image" -}}
{{- $hub := .v.hub | default .v.global.hub -}}
{{- $tag := include "causeway.text" (.v.tag | default .v.global.tag | default .Chart.AppVersion) -}}
{{- if contains "/" .v.image -}}{{ .v.image }}{{- else -}}
{{ with $hub }}{{ trimSuffix "/" . }}/{{ end }}{{ .v.image | default "causeway" }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{/* A value as text: large whole numbers as they were written, which Helm has as 1e+06. */}}
{{- define "causeway.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{/* Whether objects with (`namespace`) or without one (`cluster`) are this release's. */}}
{{- define "causeway.scope" -}}
{{- $scope := .root.v.global.resourceScope -}}
{{- if or (eq $scope "all") (eq $scope .of) }}true{{ end -}}
{{- end -}}

{{/* In MiB: that part of the memory limit that JavaScript's heap may take. Empty without a limit. */}}
{{- define "causeway.heapMiB" -}}
{{- $limit := toString (((.resources).limits).memory | default "") -}}
{{- if $limit -}}
{{- $units := dict "" 1.0 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $unit := regexFind "[A-Za-z]*$" $limit -}}
{{- if not (hasKey $units $unit) -}}
{{- fail (printf "resources.limits.memory is %q: give it as 4Gi, 4096Mi or in bytes" $limit) -}}
{{- end -}}
{{- divf (mulf (float64 (trimSuffix $unit $limit)) (get $units $unit) (divf .heapPercent 100)) 1048576 | floor | int64 -}}
{{- end -}}
{{- end -}}

{{- define "causeway.pullSecrets" -}}
{{- range . }}
- name: {{ kindIs "string" . | ternary . (get (kindIs "string" . | ternary dict .) "name") }}
{{- end }}
{{- end -}}
