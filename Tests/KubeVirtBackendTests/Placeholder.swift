import KubeVirtBackend
import Testing
