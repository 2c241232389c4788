from setuptools import find_packages, setup
setup(name='mmwsss', version='0.1.0', packages=find_packages(include=['mmwsss', 'mmwsss.*']))
