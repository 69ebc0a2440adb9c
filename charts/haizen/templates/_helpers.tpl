{{- define "haizen.name" -}}haizen-operator{{- end }}

{{- define "haizen.labels" -}}
app.kubernetes.io/name: haizen
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "haizen.selector" -}}
app.kubernetes.io/name: haizen
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "haizen.operatorImage" -}}
{{ .Values.operator.image.repository }}:{{ .Values.operator.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "haizen.runtimeImage" -}}
{{ .Values.runtime.image.repository }}:{{ .Values.runtime.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "haizen.runtimeImages" -}}
{{- $pairs := list -}}
{{- range $kind, $image := . }}{{ $pairs = append $pairs (printf "%s=%s" $kind $image) }}{{ end -}}
{{ join "," $pairs }}
{{- end }}

{{- define "haizen.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
