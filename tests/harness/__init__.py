# SPDX-License-Identifier: Apache-2.0
"""The service, its broker and its clients as processes, for tests, fault scripts and benchmarks."""
